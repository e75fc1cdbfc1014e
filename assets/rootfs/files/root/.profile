[ -f ~/.bashrc ] && [ -n "$BASH_VERSION" ] && . ~/.bashrc
