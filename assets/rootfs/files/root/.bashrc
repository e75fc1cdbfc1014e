# The prompt of a person in the container.
PS1='\u@\h:\w\$ '
alias ll='ls -l'
