# The words of the screen. One line a text; blanks stand in braces.
app-title = Terrarium
app-tagline = a distributed system under glass
list-empty = Reading the labs
list-failed = The labs cannot be read
opening = Opening the lab's world
too-small = The terminal is { $size }; at least 60x20 is needed.
more = more below
copied = Copied; also in { $path }
world-ended = The lab's world has ended. Open the lab again.
clock-full = full speed
clock-slow = { $n } times slower
clock-frozen = frozen (Space goes on)

# Panes
pane-guide = Guide
pane-cluster = Cluster
pane-log = Log
pane-shell = Shell
pane-events = Events
pane-output = Output
pane-messages = Messages

guide-step = step { $step } of { $steps }
guide-empty = The guide comes with the lab.
guide-goal = Goal
guide-hint = Hint { $n }
guide-predict = Predict { $n }
guide-predict-how = Enter: answer, before you try it
guide-predict-again = It came out otherwise. Enter: answer anew
guide-predict-open = Answered. What happens will tell.
guide-go-on = Press n for the next step.
guide-finished = That was the last step of this lab. q goes back to the list.
guide-preparing = Setting the stage for this step
guide-showing = Showing how it is done
guide-stuck = This step cannot be prepared: { $why }. u tries again.
guide-truth = What happened: { $truth }
check-running = Checking
check-passed = Passed
check-failed = Not yet

cluster-leader = leader { $name }, term { $term }
cluster-no-leader = no leader
cluster-empty = No node runs yet. In the shell: lab nodes 3
cluster-term = term
cluster-vote = vote
cluster-votes = votes
cluster-commit = commit
cluster-held = held
cluster-flying = on its way
cluster-waiting = { $n ->
    [one] one message is held: o selects it, d delivers it
   *[other] { $n } messages are held: o selects one, d delivers it
 }
cluster-keys = v: the other end of a link   ?: all keys
cluster-mark-first = Mark the other end of the link first: v
cluster-no-messages = No message is on its way.
table-node = node
table-indexes = commit
table-timer = election timer
role-leader = leader
role-candidate = candidate
role-follower = follower
role-down = down
role-paused = paused

log-empty = The logs are empty. An entry comes with a client's request.
log-legend = ✓ applied  + committed  ? not committed

events-empty = Nothing has happened yet.
events-story = the story
events-messages = messages
events-all = everything
messages-empty = No message is on its way. H holds the messages of a link; they wait here.
messages-count = { $held } held, { $all } on the way
output-empty = No process has written anything yet.
output-filter = only

shell-empty = The shell starts when the world is open.
shell-ended = The shell has ended. Enter starts a new one.
shell-leader = Ctrl-] and a key: to the screen
shell-leader-on = now a key for the screen

# Union, volume, containers
pane-union = Union
pane-volume = Volume
pane-container = Containers
where-union = In the union
where-volume = In the volume
where-container = In the containers
verb-go-union = to the union
verb-go-volume = to the volume
verb-go-container = to the containers
union-empty = Nothing is mounted as a union. In the shell: mount -t aufs
union-legend = ▪ serves  ▫ below  W whiteout  O opaque
union-counts = copied up: { $copies } ({ $bytes }), whiteouts: { $whiteouts }
union-names = name
union-free = free
union-serves = serves
union-below = below
union-whiteout = whiteout
union-opaque = opaque
volume-empty = There is no volume. In the shell: gluster volume create
volume-created = created
volume-started = started
volume-stopped = stopped
volume-pid = process
volume-no-process = no process
volume-arbiter = arbiter
volume-pending = to heal
volume-split = Split-brain
volume-heals = Healed
volume-hashes = Where names hash to
volume-way = The way of the last request (`lab speed 0.1` slows it down)
volume-written = written
volume-read = read
volume-second = a second
volume-healing = { $now } to heal, of { $most } at most
volume-moved = moved { $files } of { $scanned } seen
volume-corrupt = corrupt, by scrub: { $paths }
volume-moves = Moved
volume-in = in { $dir } of { $volume }
volume-copies = Copies
volume-copies-key = and what each holds against the others: data/metadata/entry
copy-good = good
copy-stale = stale
copy-split = split
copy-missing = missing
copy-away = away
way-write = write(2): { $size } bytes at { $offset } of { $path }
way-make = { $call }: { $name }
way-fuse = /dev/fuse: { $fop }, out of the kernel to the process of this mount
way-buffered = in memory; the program hears that it is written
way-sends = sends { $size } bytes on
way-cached = the file is on { $subvolume }: there it goes
way-hashed = the name hashes to { $hash }: that belongs to { $subvolume }
way-entrylk = locks the directory's names on every copy that is there
way-inodelk = locks the file on every copy that is there
way-pre-op = notes what begins (dirty +1), then { $fop } to { $count } of { $of } copies: { $on }
way-copies = { $fop } to { $count } of { $of } copies: { $on }
way-done = all copies have it
way-missed = { $who } missed it: the others note that
way-too-few = only on { $who }: too few, it is not done
way-refused = all copies refuse it
way-post-op = notes that it has ended (dirty -1), and unlocks
way-network = over the network to { $brick }: { $fops }
way-arrives = comes in: { $fops }
way-disk = { $calls }
container-empty = There is no container. In the shell: lxc-create
container-root = root
container-layer = layer
container-wrote = { $bytes } of its own, { $names } names
container-mount = mount
container-host = host
container-own = its own
container-processes = processes
container-attached = attached
ev-union-branches = { $at }: branches { $because }
ev-union-unmounted = { $at } is unmounted
ev-union-resolved = { $path } is served by branch { $branch }
ev-union-listed = { $path } is listed
ev-union-placed = { $path } is made on branch { $branch } ({ $policy })
ev-union-copied-up = { $path } is copied up from branch { $from } to { $to }, { $bytes } bytes
ev-union-whiteout-made = a whiteout hides { $path }, on branch { $branch }
ev-union-whiteout-removed = the whiteout of { $path } is gone from branch { $branch }
ev-union-made-opaque = { $path } is opaque on branch { $branch }
ev-union-removed = { $path } is removed (branch { $branch })
ev-union-renamed = { $from } is renamed to { $to } on branch { $branch }
ev-union-changed-directly = { $path } was changed on its branch, past the union
ev-volume-volume = volume { $name }: { $status }, replica { $replica }
ev-volume-deleted = volume { $volume } is deleted
ev-volume-healed = heals { $path } ({ $kind }) from { $from } to { $to }, { $bytes } bytes
ev-volume-split-brain = split-brain: { $path } ({ $kind })
ev-volume-crawled = healed { $healed }, left { $left }
ev-volume-placed = { $name } hashes to { $subvolume }
ev-volume-moved = { $path } moves from { $from } to { $to }
ev-volume-step = { $layer }: { $note }
ev-volume-alone = knows no other server
ev-volume-pool = knows of the pool: { $peers }
ev-volume-connected = connected to { $brick }
ev-volume-disconnected = the connection to { $brick } is lost
ev-volume-task = { $label } of { $volume }: { $files } files moved, { $seen } seen
ev-volume-brick = { $brick }: { $written } written, { $read } read, { $pending } to heal
ev-volume-copies = copies of { $path }: { $copies }
ev-volume-scrubbed = scrub of { $brick }: { $files } files compared, { $skipped } skipped; corrupt: { $corrupt }
ev-volume-sound = none
ev-container-created = made from { $template }, { $bytes } bytes
ev-container-state = { $state }
ev-container-room = its room: { $fstype } at { $rootfs }, host name { $hostname }
ev-container-attached = somebody comes in: { $command }
ev-container-detached = and leaves, exit code { $code }
ev-container-wrote = its own branch has { $bytes } bytes, { $names } names
ev-container-processes = { $count } processes: { $list }
ev-container-destroyed = removed

# Over the panes
overlay-help = Keys
overlay-palette = Do
overlay-why = Why? The chain of causes
overlay-text = Answer
palette-nothing = Nothing has that name.
prompt-search = Search:
prompt-filter = Only lines with:
search-where = This pane cannot be searched.
search-nothing = Not found: { $what }
why-older = (what caused this is too long ago)
why-none = Nothing else caused this: a clock ran out, or somebody asked for it.
why-unknown = This event is too long ago.
ask-keys = y  yes     n  no
ask-reset = Resetting begins this lab anew: its world, its logs and its progress. The evidence gathered so far is archived.
ask-undo = Undo puts the world back to where this step began. What happened since then is lost.
ask-solve = This shows how the step is done. The step will not be scored.
ask-leave = { $what } still runs in the shell and will be ended. Leave?
question-keys = a letter or the arrows choose, Enter answers, Esc leaves it open
next-not-yet = This step is not passed yet: c checks it, h gives a hint.
theme-dark = dark colours
theme-light = light colours
theme-contrast = high contrast

# Where keys hold
where-everywhere = Everywhere
where-lab = In a lab
where-searching = While a search is on
where-guide = In the guide
where-cluster = In the cluster
where-log = In the log
where-shell = In the shell
where-events = In the events
where-output = In the output
where-messages = In the messages

# Actions
verb-help = help: every key
verb-palette = do anything by its name
verb-back = back; in the list: end the program
verb-cancel = close, cancel, stop the check that runs
verb-enter = open, answer, choose
verb-language = language: English, 中文
verb-theme = colours: dark, light, high contrast
verb-suspend = stop the program for a while (fg brings it back)
verb-redraw = draw the screen anew
verb-up = up
verb-down = down
verb-left = left
verb-right = right
verb-top = to the beginning
verb-bottom = to the end, and follow
verb-half-up = half a page up
verb-half-down = half a page down
verb-next-pane = next pane
verb-prev-pane = pane before
verb-go-guide = to the guide
verb-go-cluster = to the cluster
verb-go-log = to the log
verb-go-shell = to the shell
verb-go-events = to the events
verb-go-output = to the output
verb-go-messages = to the messages
verb-zoom = this pane alone, and back
verb-search = search in this pane
verb-next-match = next place found
verb-prev-match = place found before
verb-filter = show only some
verb-copy = copy this pane, to the clipboard and a file
verb-hint = a hint
verb-check = check this step
verb-next = next step
verb-undo = undo this step (asks)
verb-reset = reset this lab (asks)
verb-solve = show how this step is done (asks; not scored)
verb-freeze = freeze the world, and let it go on
verb-step = one tick of the selected machine (freezes first)
verb-slower = slower
verb-faster = faster
verb-leader = leave the shell for one key; twice: types Ctrl-]
verb-kill = kill the selected node (kill -9)
verb-start = start the selected node
verb-pause = pause its process (SIGSTOP)
verb-resume = resume its process (SIGCONT)
verb-tick = frozen: one tick of its clock
verb-receive = frozen: let its next message arrive
verb-mark = mark it as the other end of a link
verb-one-way = only the direction from the marked node, or both
verb-cut = cut the link, or the node from all others
verb-heal = heal the link, or all links of the node
verb-heal-all = heal every link
verb-hold = hold the link's messages until they are delivered
verb-message = select the next message on its way
verb-deliver = deliver the selected held message, or the oldest
verb-drop = lose the selected held message, or the oldest
verb-double = deliver the selected held message, and keep it too
verb-why = why did this happen?

# The same, short, for the last row
short-help = help
short-palette = do
short-back = back
short-enter = open
short-answer = answer
short-deliver = deliver
short-drop = lose
short-double = twice
short-up = up
short-down = down
short-language = 中文
short-theme = colours
short-check = check
short-hint = hint
short-next = next step
short-freeze = freeze
short-next-pane = panes
short-zoom = zoom
short-kill = kill
short-start = start
short-cut = cut off
short-heal = heal
short-why = why
short-filter = filter
short-leader = and a key: out of the shell (q back, Tab panes, : do, z zoom)

# Commands of the world
command-status = what the world looks like
command-log = a node's log, from its disk
command-nodes = have so many Raft nodes
command-start = start processes that ended
command-kill = kill processes (SIGKILL)
command-pause = pause processes (SIGSTOP)
command-resume = resume processes (SIGCONT)
command-cut = let nothing pass; silence, not a reset
command-heal = links back to normal
command-hold = messages wait until delivered by hand
command-deliver = let a held message arrive
command-drop = lose a held message, or a share of all
command-dup = a message arrives twice
command-delay = each message takes this long
command-speed = how fast the clocks run; 1 is the paper's time
command-freeze = clocks and links stand still
command-thaw = clocks and links go on
command-step = frozen: one tick, or one message
command-client = a client's request: client n1 SET x 5
command-server = have a server's namespaces
command-ask = a question to a process

# What happened
ev-opened = the world { $name } was opened, seed { $seed }
ev-command = { $text }  ({ $by })
ev-refused = { $text }  ({ $by }): refused, { $why }
ev-frozen = the world is frozen
ev-speed = the clocks run at speed { $speed }
ev-started = { $role } started, process { $pid }
ev-paused = paused
ev-resumed = goes on
ev-ended = ended: { $how }
ev-exited = exited with { $code }
ev-killed = killed by { $signal }
ev-gone = ended
ev-delivered = { $id } arrived
ev-dropped = { $id } was lost: { $why }
ev-held = { $id } is held
ev-lost = { $count } events were not reported, for haste
ev-booted = boots with term { $term } and a log up to { $last }
ev-state = { $role } in term { $term }: { $why }
ev-vote = votes for { $candidate } in term { $term }
ev-no-vote = refuses { $candidate } its vote in term { $term }: { $why }
ev-timer = election timeout in { $ms } ms
ev-appended = appends { $entries }
ev-truncated = removes its entries from { $from } on
ev-append-refused = refuses entries of { $leader }: nothing fits at { $prev }
ev-committed = commits up to { $index }
ev-applied = applies up to { $index }
ev-progress = { $peer }: next { $next }, match { $matched }
ev-snapshot = snapshot up to { $index }
ev-asked = a client asks: { $text }
ev-forwarded = a client asks: { $text } (passed on to { $to })
ev-answered = answers the client: { $text }
rule-cut = cut
rule-held = held
rule-delay = delay { $n } ms
rule-loss = loses { $n }%
rule-dup = doubles { $n }%
rule-clear = clear
why-election_timeout = its election timer ran out
why-won = a majority voted for it
why-higher_term = it heard of a higher term
why-found_leader = it heard from the leader
why-voted = it gave its vote
why-split = no majority, its timer ran out again
why-watched = as it was when the watch began
why-stale_term = the term is old
why-already_voted = it has voted already
why-log_not_up_to_date = the candidate's log is behind its own

# doctor: what this machine can do

doctor-kernel = kernel
doctor-userns = user namespaces
doctor-mounts = private mounts
doctor-pidns = process namespaces
doctor-netns = private network
doctor-overlay = overlayfs
doctor-fuse = FUSE
doctor-ids = mapped ids
doctor-world = a whole world
doctor-terminal = terminal size
doctor-utf8 = UTF-8
doctor-colours = colours
doctor-detail-root = as root: namespaces without a user namespace, a fence and no wall
doctor-detail-ids = { $count } ids
doctor-detail-size = { $columns } × { $rows }
doctor-detail-took = opened and closed in { $ms } ms
doctor-cause-kernel = Linux 5.12 or newer is needed to make folders read-only with all that is mounted below
doctor-mend-kernel = install a newer kernel
doctor-cause-apparmor = AppArmor forbids user namespaces to ordinary programs (Ubuntu's default since 23.10)
doctor-mend-apparmor = sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0
doctor-cause-clone = the system forbids user namespaces to ordinary users
doctor-mend-clone = sudo sysctl -w kernel.unprivileged_userns_clone=1
doctor-cause-max = the system allows no user namespaces at all
doctor-mend-max = sudo sysctl -w user.max_user_namespaces=15000
doctor-cause-seccomp = a filter forbids it; this is most likely a container
doctor-mend-seccomp = start the container with: --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined
doctor-cause-refused = the kernel refused: { $reason }
doctor-mend-refused = in a container: docker run --privileged; else ask who runs this machine
doctor-cause-fuse = /dev/fuse is missing or closed to you: the union and volume labs need it, the Raft labs do not
doctor-mend-fuse = sudo modprobe fuse && sudo chmod 666 /dev/fuse   (in a container: --device /dev/fuse)
doctor-cause-overlay = the kernel refuses overlayfs here; folders of links stand in for it
doctor-mend-overlay = nothing needs to be done
doctor-cause-ids = without newuidmap there is one id inside: chown to others fails there
doctor-mend-ids = sudo apt install uidmap && sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER
doctor-cause-terminal = the screen wants 80 × 24 at least
doctor-mend-terminal = make the window larger or the font smaller
doctor-cause-utf8 = the locale is not UTF-8: Chinese texts and frames will be garbled
doctor-mend-utf8 = export LC_ALL=C.UTF-8
doctor-cause-colours = the terminal says that it has no colours; roles show by letter and shape
doctor-mend-colours = export TERM=xterm-256color
doctor-all-well = Everything works here.
doctor-raft-only = The Raft labs run here; what needs a world of its own does not.

# a world without namespaces

host-notice = This machine refuses namespaces ({ $reason }), so this lab runs on the machine itself, on addresses of its own: n1 is { $address }, n2 the next. `redis-cli -h { $address }` reaches n1; `lab` works as everywhere. `terrarium doctor` says what would mend it.

# Help of the command line
help-main = A distributed system under glass, in your terminal.
help-commands = Commands (each has --help):
help-verb-run = a fresh world for one command, or a shell
help-verb-enter = join a running world from another terminal
help-verb-doctor = what this machine can do, and what would mend it
help-verb-lab = the course's tools: list, lint, test, schema
help-verb-brick = one brick of a volume, by hand
help-verb-node = one Raft node, by hand
help-verb-bench = measurements beside the peers
help-verb-export = the homework as a script for a real machine
help-run = Open a fresh world and run a command in it
help-run-examples =
    Examples:
      terrarium run                                  a shell in a fresh world
      terrarium run --nodes 3 -- redis-cli -h n1 SET x 5
      terrarium run -- sh homework.sh

    Inside, you are root over a private world: mounts, addresses and processes are its own and end with it. This machine's
    folders are visible read-only; the folder you are in is writable. The exit status is the command's own; 125 means
    that the world itself could not be made, 126 and 127 are as in env(1).
help-run-nodes = Have N Raft nodes up, with a leader elected, before the command starts
help-run-seed = The seed of everything random in the world
help-run-world = The world's name, for `terrarium enter --world NAME`; its state is then kept
help-run-command = The command and its arguments; a shell if there is none
help-enter = Join a running world
help-enter-examples =
    Examples:
      terrarium enter                       a shell in the running world
      terrarium enter -- lab status
      terrarium enter --world mine -- ps ax
help-enter-world = Which world, where several run
help-enter-dir = The folder to start in
help-enter-command = The command and its arguments; a shell if there is none
help-lab = The course's tools
help-lab-examples =
    Examples:
      terrarium lab list                       the labs, and how far you are
      terrarium lab lint                       whether every lab file is as it should be
      terrarium lab lint my-course/partition   one lab of your own
      terrarium lab test                       the machine does every lab, and every known mistake
      terrarium lab schema > schema.json       for an editor
help-lab-labs = A folder of labs instead of the built-in ones (also: TERRARIUM_LABS)
help-lab-json = For programs: JSON on standard output
help-lab-list = List the labs
help-lab-lint = Look for mistakes in lab files: a lab's folder or its lab.yaml; without one, every lab
help-lab-test = Let the machine do the labs: untouched each step fails, solved it passes, each mistake is recognized
help-lab-schema = Print the JSON Schema of lab.yaml
