# 屏幕上的文字。一行一条；花括号里是空格，由程序填写。
app-title = Terrarium
app-tagline = 玻璃缸里的分布式系统
list-empty = 正在读取实验
list-failed = 读不了实验
opening = 正在打开实验的世界
too-small = 终端是 { $size }，至少需要 60x20。
more = 下面还有
copied = 已复制，也写进了 { $path }
world-ended = 实验的世界已经结束。请重新打开实验。
clock-full = 全速
clock-slow = 慢 { $n } 倍
clock-frozen = 已冻结（空格继续）

# 窗格
pane-guide = 指南
pane-cluster = 节点
pane-log = 日志
pane-shell = 命令行
pane-events = 事件
pane-output = 输出
pane-messages = 消息

guide-step = 第 { $step } 步，共 { $steps } 步
guide-empty = 指南随实验打开。
guide-goal = 目标
guide-hint = 提示 { $n }
guide-predict = 预测 { $n }
guide-predict-how = 动手之前，按 Enter 先作答
guide-predict-again = 实际结果不是这样。按 Enter 重新作答
guide-predict-open = 已作答，结果会给出答案。
guide-go-on = 按 n 进入下一步。
guide-finished = 这是本实验的最后一步。按 q 回到列表。
guide-preparing = 正在为这一步布置场景
guide-showing = 正在演示怎么做
guide-stuck = 这一步没有布置好：{ $why }。按 u 再试一次。
guide-truth = 实际发生的是：{ $truth }
check-running = 正在检查
check-passed = 通过
check-failed = 还没有通过

cluster-leader = leader { $name }，term { $term }
cluster-no-leader = 没有 leader
cluster-empty = 还没有节点在运行。在命令行里输入：lab nodes 3
cluster-term = term
cluster-vote = 投给
cluster-votes = 得票
cluster-commit = commit
cluster-held = 扣留
cluster-flying = 在途
cluster-waiting = 扣留了 { $n } 条消息：o 选择，d 放行
cluster-keys = v 标记链路的另一端   ? 所有按键
cluster-mark-first = 先用 v 标记链路的另一端
cluster-no-messages = 没有在途的消息。
table-node = 节点
table-indexes = commit
table-timer = 选举定时器
role-leader = leader
role-candidate = candidate
role-follower = follower
role-down = 已停机
role-paused = 已暂停

log-empty = 日志还是空的。客户端的请求会带来条目。
log-legend = ✓ 已应用  + 已提交  ? 未提交

events-empty = 还什么都没有发生。
events-story = 经过
events-messages = 消息
events-all = 全部
messages-empty = 没有在途的消息。H 扣留一条链路的消息，它们就会停在这里。
messages-count = { $held } 条扣留，{ $all } 条在途
output-empty = 还没有进程输出过什么。
output-filter = 只看

shell-empty = 世界打开后，命令行随之启动。
shell-ended = 命令行已结束。按 Enter 重新启动。
shell-leader = Ctrl-] 再按一键：回到屏幕
shell-leader-on = 现在按一个屏幕的键

# 联合挂载、卷、容器
pane-union = 联合
pane-volume = 卷
pane-container = 容器
where-union = 联合
where-volume = 卷
where-container = 容器
verb-go-union = 到联合
verb-go-volume = 到卷
verb-go-container = 到容器
union-empty = 还没有联合挂载。在命令行里：mount -t aufs
union-legend = ▪ 提供  ▫ 在下层  W whiteout  O opaque
union-counts = copy-up { $copies } 次（{ $bytes }），whiteout { $whiteouts } 个
union-names = 名字
union-free = 空闲
union-serves = 提供
union-below = 在下层
union-whiteout = whiteout
union-opaque = opaque
volume-empty = 还没有卷。在命令行里：gluster volume create
volume-created = 已创建
volume-started = 已启动
volume-stopped = 已停止
volume-pid = 进程
volume-no-process = 没有进程
volume-arbiter = 仲裁
volume-pending = 待修复
volume-split = 脑裂
volume-heals = 已修复
volume-hashes = 名字散列到哪里
volume-way = 最近一次请求走过的路（`lab speed 0.1` 放慢）
volume-written = 写入
volume-read = 读出
volume-second = 每秒
volume-healing = 还有 { $now } 个待修复，最多时 { $most } 个
volume-moved = 看了 { $scanned } 个，搬了 { $files } 个
volume-corrupt = 校验发现损坏：{ $paths }
volume-moves = 搬动
volume-in = { $volume } 的目录 { $dir }
volume-copies = 副本
volume-copies-key = 每份对别份的指责：data/metadata/entry
copy-good = 完好
copy-stale = 落后
copy-split = 脑裂
copy-missing = 缺失
copy-away = 不在
way-write = write(2)：往 { $path } 的 { $offset } 处写 { $size } 字节
way-make = { $call }：{ $name }
way-fuse = /dev/fuse：{ $fop }，出内核，交给挂载进程
way-buffered = 放进内存；程序得到“写好了”
way-sends = 把 { $size } 字节往下送
way-cached = 文件在 { $subvolume } 上，就去那里
way-hashed = 名字的哈希值是 { $hash }，属于 { $subvolume }
way-entrylk = 在每份在线的副本上给目录的名字加锁
way-inodelk = 在每份在线的副本上给文件加锁
way-pre-op = 先记下“开始了”（dirty +1），再把 { $fop } 发给 { $of } 份中的 { $count } 份：{ $on }
way-copies = 把 { $fop } 发给 { $of } 份中的 { $count } 份：{ $on }
way-done = 每份都写到了
way-missed = { $who } 没有写到：由别份记下
way-too-few = 只写到 { $who }：太少，不算数
way-refused = 每份都拒绝
way-post-op = 记下“结束了”（dirty -1），解锁
way-network = 经网络到 { $brick }：{ $fops }
way-arrives = 收到：{ $fops }
way-disk = { $calls }
container-empty = 还没有容器。在命令行里：lxc-create
container-root = 根
container-layer = 分支
container-wrote = 自己的 { $bytes }，{ $names } 个名字
container-mount = 挂载
container-host = 主机
container-own = 自己的
container-processes = 进程
container-attached = 进来的
ev-union-branches = { $at }：分支 { $because }
ev-union-unmounted = 卸载了 { $at }
ev-union-resolved = { $path } 由分支 { $branch } 提供
ev-union-listed = 列出了 { $path }
ev-union-placed = { $path } 建在分支 { $branch } 上（{ $policy }）
ev-union-copied-up = { $path } 从分支 { $from } 复制到 { $to }，{ $bytes } 字节
ev-union-whiteout-made = 分支 { $branch } 上的 whiteout 隐藏了 { $path }
ev-union-whiteout-removed = 分支 { $branch } 上 { $path } 的 whiteout 没有了
ev-union-made-opaque = { $path } 在分支 { $branch } 上成为 opaque
ev-union-removed = 删除了 { $path }（分支 { $branch }）
ev-union-renamed = 在分支 { $branch } 上把 { $from } 改名为 { $to }
ev-union-changed-directly = { $path } 绕过联合，直接在分支上被改动
ev-volume-volume = 卷 { $name }：{ $status }，replica { $replica }
ev-volume-deleted = 删除了卷 { $volume }
ev-volume-healed = 修复 { $path }（{ $kind }），从 { $from } 到 { $to }，{ $bytes } 字节
ev-volume-split-brain = 脑裂：{ $path }（{ $kind }）
ev-volume-crawled = 修复了 { $healed } 个，剩 { $left } 个
ev-volume-placed = { $name } 散列到 { $subvolume }
ev-volume-moved = { $path } 从 { $from } 移到 { $to }
ev-volume-step = { $layer }：{ $note }
ev-volume-alone = 还不认识别的服务器
ev-volume-pool = 认识的池成员：{ $peers }
ev-volume-connected = 已连上 { $brick }
ev-volume-disconnected = 到 { $brick } 的连接断了
ev-volume-task = { $volume } 的 { $label }：已移动 { $files } 个文件，看过 { $seen } 个
ev-volume-brick = { $brick }：写入 { $written }，读出 { $read }，待修复 { $pending }
ev-volume-copies = { $path } 的副本：{ $copies }
ev-volume-scrubbed = 校验 { $brick }：比对了 { $files } 个文件，跳过 { $skipped } 个；损坏：{ $corrupt }
ev-volume-sound = 无
ev-container-created = 由 { $template } 建成，{ $bytes } 字节
ev-container-state = { $state }
ev-container-room = 房间：{ $rootfs } 上的 { $fstype }，主机名 { $hostname }
ev-container-attached = 有人进来：{ $command }
ev-container-detached = 又离开，退出码 { $code }
ev-container-wrote = 自己的分支里有 { $bytes } 字节，{ $names } 个名字
ev-container-processes = { $count } 个进程：{ $list }
ev-container-destroyed = 已删除

# 浮层
overlay-help = 按键
overlay-palette = 执行
overlay-why = 为什么？原因的链条
overlay-text = 回答
palette-nothing = 没有叫这个名字的。
prompt-search = 搜索：
prompt-filter = 只看含有此文字的行：
search-where = 这个窗格不能搜索。
search-nothing = 没有找到：{ $what }
why-older = （更早的原因已经太久远）
why-none = 没有别的原因：时钟到点了，或者有人要求这样做。
why-unknown = 这个事件已经太久远。
ask-keys = y  是     n  否
ask-reset = 重置会让本实验从头开始：世界、日志和进度都会清空。已收集的证据会归档。
ask-undo = 撤销会让世界回到这一步开始时的样子，其后发生的一切都会丢失。
ask-solve = 这会演示这一步怎么做，这一步将不计分。
ask-leave = { $what } 还在命令行里运行，离开会结束它。要离开吗？
question-keys = 按字母或方向键选择，Enter 作答，Esc 暂不作答
next-not-yet = 这一步还没有通过：c 检查，h 给提示。
theme-dark = 深色
theme-light = 浅色
theme-contrast = 高对比度

# 按键在哪里有效
where-everywhere = 任何地方
where-lab = 实验中
where-searching = 搜索时
where-guide = 指南
where-cluster = 节点
where-log = 日志
where-shell = 命令行
where-events = 事件
where-output = 输出
where-messages = 消息

# 动作
verb-help = 帮助：所有按键
verb-palette = 按名字执行任何动作
verb-back = 返回；在列表中则结束程序
verb-cancel = 关闭、取消、停止正在进行的检查
verb-enter = 打开、作答、选择
verb-language = 语言：English、中文
verb-theme = 颜色：深色、浅色、高对比度
verb-suspend = 暂时停下程序（fg 恢复）
verb-redraw = 重画屏幕
verb-up = 上
verb-down = 下
verb-left = 左
verb-right = 右
verb-top = 到开头
verb-bottom = 到末尾并跟随
verb-half-up = 上半页
verb-half-down = 下半页
verb-next-pane = 下一个窗格
verb-prev-pane = 上一个窗格
verb-go-guide = 到指南
verb-go-cluster = 到节点
verb-go-log = 到日志
verb-go-shell = 到命令行
verb-go-events = 到事件
verb-go-output = 到输出
verb-go-messages = 到消息
verb-zoom = 只看这个窗格，再按还原
verb-search = 在此窗格中搜索
verb-next-match = 下一处
verb-prev-match = 上一处
verb-filter = 只看一部分
verb-copy = 复制此窗格，到剪贴板和文件
verb-hint = 给一个提示
verb-check = 检查这一步
verb-next = 下一步
verb-undo = 撤销这一步（会询问）
verb-reset = 重置本实验（会询问）
verb-solve = 演示这一步怎么做（会询问；不计分）
verb-freeze = 冻结世界，再按继续
verb-step = 让选中的机器走一个时钟滴答（先冻结）
verb-slower = 更慢
verb-faster = 更快
verb-leader = 离开命令行按一个键；连按两次则输入 Ctrl-]
verb-kill = 杀死选中的节点（kill -9）
verb-start = 启动选中的节点
verb-pause = 暂停它的进程（SIGSTOP）
verb-resume = 继续它的进程（SIGCONT）
verb-tick = 冻结时：它的时钟走一个滴答
verb-receive = 冻结时：让它的下一条消息到达
verb-mark = 标记它为链路的另一端
verb-one-way = 只管从标记节点出发的方向，或双向
verb-cut = 断开链路，或让节点与其他节点断开
verb-heal = 恢复链路，或节点的所有链路
verb-heal-all = 恢复所有链路
verb-hold = 扣留链路上的消息，直到放行
verb-message = 选择下一条在途的消息
verb-deliver = 放行选中的或最早被扣留的消息
verb-drop = 丢弃选中的或最早被扣留的消息
verb-double = 放行选中的扣留消息，同时仍保留
verb-why = 为什么会发生？

# 末行用的短词
short-help = 帮助
short-palette = 执行
short-back = 返回
short-enter = 打开
short-answer = 作答
short-deliver = 放行
short-drop = 丢弃
short-double = 重复
short-up = 上
short-down = 下
short-language = English
short-theme = 颜色
short-check = 检查
short-hint = 提示
short-next = 下一步
short-freeze = 冻结
short-next-pane = 窗格
short-zoom = 放大
short-kill = 杀死
short-start = 启动
short-cut = 断开
short-heal = 恢复
short-why = 为什么
short-filter = 筛选
short-leader = 再按一键离开命令行（q 返回  Tab 窗格  : 执行  z 放大）

# 世界的命令
command-status = 世界现在的样子
command-log = 一个节点磁盘上的日志
command-nodes = 要这么多个 Raft 节点
command-start = 启动已结束的进程
command-kill = 杀死进程（SIGKILL）
command-pause = 暂停进程（SIGSTOP）
command-resume = 继续进程（SIGCONT）
command-cut = 什么都不放过；是静默，不是重置
command-heal = 链路恢复正常
command-hold = 消息等着手工放行
command-deliver = 让一条扣留的消息到达
command-drop = 丢弃一条扣留的消息，或丢一定比例
command-dup = 让消息到达两次
command-delay = 每条消息都要这么久
command-speed = 时钟走多快；1 是论文里的时间
command-freeze = 时钟和链路都停住
command-thaw = 时钟和链路继续
command-step = 冻结时：一个滴答，或一条消息
command-client = 客户端请求：client n1 SET x 5
command-server = 建立一台服务器的命名空间
command-ask = 向进程提问

# 发生了什么
ev-opened = 打开了世界 { $name }，种子 { $seed }
ev-command = { $text }  （{ $by }）
ev-refused = { $text }  （{ $by }）：被拒绝，{ $why }
ev-frozen = 世界冻结了
ev-speed = 时钟以 { $speed } 的速度走
ev-started = { $role } 启动，进程 { $pid }
ev-paused = 暂停
ev-resumed = 继续
ev-ended = 结束：{ $how }
ev-exited = 退出，退出码 { $code }
ev-killed = 被 { $signal } 杀死
ev-gone = 结束
ev-delivered = { $id } 到达
ev-dropped = { $id } 丢失：{ $why }
ev-held = { $id } 被扣留
ev-lost = 忙不过来，有 { $count } 个事件没有报告
ev-booted = 启动，term { $term }，日志到 { $last }
ev-state = 在 term { $term } 成为 { $role }：{ $why }
ev-vote = 在 term { $term } 投票给 { $candidate }
ev-no-vote = 在 term { $term } 拒绝投票给 { $candidate }：{ $why }
ev-timer = { $ms } 毫秒后选举超时
ev-appended = 追加 { $entries }
ev-truncated = 删除从 { $from } 起的条目
ev-append-refused = 拒绝 { $leader } 的条目：{ $prev } 处对不上
ev-committed = 提交到 { $index }
ev-applied = 应用到 { $index }
ev-progress = { $peer }：next { $next }，match { $matched }
ev-snapshot = 快照到 { $index }
ev-asked = 客户端请求：{ $text }
ev-forwarded = 客户端请求：{ $text }（转给 { $to }）
ev-answered = 回答客户端：{ $text }
rule-cut = 断开
rule-held = 扣留
rule-delay = 延迟 { $n } 毫秒
rule-loss = 丢失 { $n }%
rule-dup = 重复 { $n }%
rule-clear = 正常
why-election_timeout = 选举定时器到点
why-won = 得到多数票
why-higher_term = 听说了更高的 term
why-found_leader = 收到 leader 的消息
why-voted = 投出了票
why-split = 没有多数，定时器又到点
why-watched = 开始观察时的样子
why-stale_term = term 太旧
why-already_voted = 已经投过票
why-log_not_up_to_date = candidate 的日志比它旧
why-log_not_up_to_date = 候选者的日志比它旧

# doctor：这台机器能做什么

doctor-kernel = 内核
doctor-userns = 用户命名空间
doctor-mounts = 私有挂载
doctor-pidns = 进程命名空间
doctor-netns = 私有网络
doctor-overlay = overlayfs
doctor-fuse = FUSE
doctor-ids = 映射的 id
doctor-world = 完整的世界
doctor-terminal = 终端大小
doctor-utf8 = UTF-8
doctor-colours = 颜色
doctor-detail-root = 以 root 运行：没有用户命名空间，是栅栏而不是墙
doctor-detail-ids = { $count } 个 id
doctor-detail-size = { $columns } × { $rows }
doctor-detail-took = 打开并关闭用了 { $ms } 毫秒
doctor-cause-kernel = 需要 Linux 5.12 或更新，才能把目录连同其下的挂载一起设为只读
doctor-mend-kernel = 安装更新的内核
doctor-cause-apparmor = AppArmor 不许普通程序使用用户命名空间（Ubuntu 23.10 起的默认设置）
doctor-mend-apparmor = sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0
doctor-cause-clone = 系统不许普通用户使用用户命名空间
doctor-mend-clone = sudo sysctl -w kernel.unprivileged_userns_clone=1
doctor-cause-max = 系统完全不允许用户命名空间
doctor-mend-max = sudo sysctl -w user.max_user_namespaces=15000
doctor-cause-seccomp = 有过滤器禁止了它；这里多半是一个容器
doctor-mend-seccomp = 启动容器时加上：--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined
doctor-cause-refused = 内核拒绝了：{ $reason }
doctor-mend-refused = 在容器里：docker run --privileged；否则请问这台机器的管理员
doctor-cause-fuse = /dev/fuse 不存在或者你打不开：联合挂载和卷的实验需要它，Raft 实验不需要
doctor-mend-fuse = sudo modprobe fuse && sudo chmod 666 /dev/fuse   （在容器里：--device /dev/fuse）
doctor-cause-overlay = 内核在这里拒绝 overlayfs；改用符号链接目录代替
doctor-mend-overlay = 什么都不用做
doctor-cause-ids = 没有 newuidmap，里面只有一个 id：在里面 chown 给别人会失败
doctor-mend-ids = sudo apt install uidmap && sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER
doctor-cause-terminal = 屏幕至少要 80 × 24
doctor-mend-terminal = 把窗口放大，或者把字体调小
doctor-cause-utf8 = 区域设置不是 UTF-8：中文和边框会乱码
doctor-mend-utf8 = export LC_ALL=C.UTF-8
doctor-cause-colours = 终端说它没有颜色；角色用字母和形状表示
doctor-mend-colours = export TERM=xterm-256color
doctor-all-well = 这里一切正常。
doctor-raft-only = Raft 实验可以在这里运行；需要独立世界的实验不行。

# 没有命名空间的世界

host-notice = 这台机器不许使用命名空间（{ $reason }），所以这个实验直接在本机上运行，用它自己的地址：n1 是 { $address }，n2 依次加一。用 `redis-cli -h { $address }` 访问 n1；`lab` 命令照常可用。`terrarium doctor` 会告诉你怎样修好。

# 命令行的帮助
help-main = 玻璃缸里的分布式系统，就在你的终端里。
help-commands = 命令（每个都有 --help）：
help-verb-run = 在一个全新的世界里运行一条命令，或者开一个 shell
help-verb-enter = 从另一个终端进入正在运行的世界
help-verb-doctor = 这台机器能做什么，缺什么怎么补
help-verb-lab = 课程的工具：list、lint、test、schema
help-verb-brick = 手工运行卷的一块 brick
help-verb-node = 手工运行一个 Raft 节点
help-verb-bench = 和同类系统并排测量
help-verb-export = 把作业写成真机器上用的脚本
help-run = 在一个全新的世界里运行一条命令
help-run-examples =
    例子：
      terrarium run                                  在全新的世界里开一个 shell
      terrarium run --nodes 3 -- redis-cli -h n1 SET x 5
      terrarium run -- sh homework.sh

    在里面你是 root，管着一个私有的世界：挂载、地址和进程都是它自己的，随它一起结束。本机的目录看得见，只读；
    你所在的这个目录可写。退出状态就是那条命令的；125 表示世界本身没有建起来，126 和 127 与 env(1) 相同。
help-run-nodes = 命令开始之前，先有 N 个 Raft 节点，并且选出了 leader
help-run-seed = 这个世界里一切随机事物的种子
help-run-world = 世界的名字，供 `terrarium enter --world NAME` 使用；它的状态会保留下来
help-run-command = 命令和它的参数；没有就是 shell
help-enter = 进入正在运行的世界
help-enter-examples =
    例子：
      terrarium enter                       在正在运行的世界里开一个 shell
      terrarium enter -- lab status
      terrarium enter --world mine -- ps ax
help-enter-world = 哪一个世界（有好几个在运行的时候）
help-enter-dir = 从哪个目录开始
help-enter-command = 命令和它的参数；没有就是 shell
help-lab = 课程的工具
help-lab-examples =
    例子：
      terrarium lab list                       有哪些实验，做到了哪里
      terrarium lab lint                       每个实验文件是否都写对了
      terrarium lab lint my-course/partition   检查你自己写的一个实验
      terrarium lab test                       让机器把每个实验、每个已知的错误都做一遍
      terrarium lab schema > schema.json       给编辑器用
help-lab-labs = 用这个目录里的实验，代替内置的（也可以用 TERRARIUM_LABS）
help-lab-json = 给程序用：标准输出是 JSON
help-lab-list = 列出实验
help-lab-lint = 找出实验文件里的错误：一个实验的目录或它的 lab.yaml；不写就是全部
help-lab-test = 让机器做实验：没动过的每一步都不通过，做对的通过，每个错误都认得出来
help-lab-schema = 打印 lab.yaml 的 JSON Schema
