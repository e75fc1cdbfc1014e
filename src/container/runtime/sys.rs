//! The few system calls that `nix` does not have, each behind a function that cannot be used wrongly by its callers here.
//!
//! Source: clone(2), open_tree(2), move_mount(2), fsopen(2), fsconfig(2), fsmount(2), mount_setattr(2), setns(2), prctl(2).

use std::ffi::CString;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// Result of a system call as an `io::Result`.
fn checked(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn fd_of(result: i64) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(checked(result)?).map_err(io::Error::other)?;
    // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn c(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a zero byte in a path"))
}

/// What [`fork_into`] returned into.
pub enum Forked {
    /// The parent; the child's process id.
    Parent(i32),
    /// The child.
    Child,
}

/// Forks the calling process, the child into new namespaces (`CLONE_NEW*` bits).
///
/// The caller must have no other thread: the child goes on as an ordinary program.
///
/// # Errors
/// As clone(2).
pub fn fork_into(namespaces: i32) -> io::Result<Forked> {
    // SAFETY: without CLONE_VM this is fork(2) with namespaces; the caller has one thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone, i64::from(namespaces | libc::SIGCHLD), 0, 0, 0, 0) };
    match checked(pid)? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(i32::try_from(pid).map_err(io::Error::other)?)),
    }
}

/// A descriptor for a process.
///
/// # Errors
/// As pidfd_open(2): `ESRCH` when there is none.
pub fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is handed over.
    fd_of(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Moves the calling thread into namespaces of the process behind a pidfd.
///
/// # Errors
/// As setns(2).
pub fn enter(process: &OwnedFd, namespaces: i32) -> io::Result<()> {
    // SAFETY: no memory is handed over.
    checked(i64::from(unsafe { libc::setns(process.as_raw_fd(), namespaces) })).map(drop)
}

/// A detached copy of what is mounted at a path.
///
/// # Errors
/// As open_tree(2).
pub fn pick_up(path: &str, recursive: bool) -> io::Result<OwnedFd> {
    let path = c(path)?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    let flags = if recursive { flags | libc::AT_RECURSIVE as u32 } else { flags };
    // SAFETY: the path lives until after the call.
    fd_of(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// Attaches a detached mount at a path.
///
/// # Errors
/// As move_mount(2).
pub fn put_down(mount: &OwnedFd, path: &str) -> io::Result<()> {
    let path = c(path)?;
    // SAFETY: both strings live until after the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    checked(done).map(drop)
}

/// A detached mount of a kernel filesystem. `data` is its options, `a=b,c`; `flags` are mount(2)'s.
///
/// # Errors
/// As fsopen(2), fsconfig(2) and fsmount(2).
pub fn new_mount(fstype: &str, name: &str, data: &str, flags: u64) -> io::Result<OwnedFd> {
    let context = c(fstype)?;
    // SAFETY: the string lives until after the call.
    let context = fd_of(unsafe { libc::syscall(libc::SYS_fsopen, context.as_ptr(), libc::FSOPEN_CLOEXEC) })?;
    configure(&context, "source", Some(name))?;
    for option in data.split(',').filter(|o| !o.is_empty()) {
        match option.split_once('=') {
            Some((key, value)) => configure(&context, key, Some(value))?,
            None => configure(&context, option, None)?,
        }
    }
    let create = libc::FSCONFIG_CMD_CREATE;
    // SAFETY: the null pointers are what the command wants.
    checked(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), create, 0usize, 0usize, 0) })?;
    let (close, flags) = (libc::FSMOUNT_CLOEXEC, flags & 0xf); // the four low flags have the same numbers as MOUNT_ATTR_*
    // SAFETY: no memory is handed over.
    fd_of(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), close, flags) })
}

fn configure(context: &OwnedFd, key: &str, value: Option<&str>) -> io::Result<()> {
    let (key, held) = (c(key)?, value.map(c).transpose()?);
    let command = if held.is_some() { libc::FSCONFIG_SET_STRING } else { libc::FSCONFIG_SET_FLAG };
    let value = held.as_ref().map_or(std::ptr::null(), |v| v.as_ptr());
    // SAFETY: the strings live until after the call.
    checked(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key.as_ptr(), value, 0) })
        .map(drop)
}

/// Sends words and descriptors in one packet.
///
/// # Errors
/// As sendmsg(2).
pub fn send_fds(socket: &impl AsRawFd, words: &[u8], fds: &[RawFd]) -> io::Result<()> {
    let rights = [ControlMessage::ScmRights(fds)];
    let control = if fds.is_empty() { &[][..] } else { &rights[..] };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(words)], control, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// Receives at most `most` bytes and the descriptors that came with them. No bytes: the other end is closed.
///
/// # Errors
/// As recvmsg(2).
pub fn receive_fds(socket: &impl AsRawFd, most: usize) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut words = vec![0; most];
    let mut space = nix::cmsg_space!([RawFd; 66]);
    let (bytes, fds) = {
        let mut parts = [IoSliceMut::new(&mut words)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        let mut fds = Vec::new();
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = control {
                // SAFETY: the kernel just put these descriptors into our table.
                fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        (message.bytes, fds)
    };
    words.truncate(bytes);
    Ok((words, fds))
}

/// A pair of connected sockets that keep packets apart and see each other's end.
///
/// # Errors
/// As socketpair(2).
pub fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// The signal that the kernel sends us when our parent thread ends.
///
/// # Errors
/// As prctl(2).
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: no memory is handed over.
    checked(i64::from(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })).map(drop)
}

/// Hides this process's memory, descriptors and program file from others, container's root included, until it becomes
/// another program.
pub fn hide_from_others() {
    // SAFETY: no memory is handed over. It cannot fail with these arguments.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
}

/// Takes every capability that is not in `left` (one bit a number) out of the bounding set; numbers that the kernel does
/// not know are passed over.
///
/// # Errors
/// As prctl(2).
pub fn bound_capabilities(left: u64) -> io::Result<()> {
    for number in 0..64 {
        // SAFETY: no memory is handed over.
        let there = unsafe { libc::prctl(libc::PR_CAPBSET_READ, number) };
        if there == 1 && left & (1 << number) == 0 {
            // SAFETY: as above.
            checked(i64::from(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number) }))?;
        }
    }
    Ok(())
}

/// Marks every descriptor from 3 on to be closed when another program begins.
pub fn close_others_on_exec() {
    // SAFETY: no memory is handed over; a kernel without the call leaves our own descriptors, which are marked anyway.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// What `ps` shows of this process. Silently does nothing where the kernel does not allow it.
pub fn set_title(title: &str) {
    let _ = try_title(title);
}

/// The kernel's `struct prctl_mm_map`.
#[repr(C)]
#[derive(Default)]
struct MemoryMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

fn try_title(title: &str) -> Option<()> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<u64> = stat.rsplit_once(')')?.1.split_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
    let field = |number: usize| fields.get(number - 3).copied(); // numbered as in proc_pid_stat(5)
    let text: &'static mut [u8] = Box::leak([title.as_bytes(), &[0]].concat().into_boxed_slice());
    let start = text.as_ptr() as u64;
    // SAFETY: sbrk(0) only asks.
    let brk = unsafe { libc::sbrk(0) } as u64;
    let map = MemoryMap {
        start_code: field(26)?,
        end_code: field(27)?,
        start_stack: field(28)?,
        start_data: field(45)?,
        end_data: field(46)?,
        start_brk: field(47)?,
        brk,
        arg_start: start,
        arg_end: start + text.len() as u64,
        env_start: field(50)?,
        env_end: field(51)?,
        exe_fd: u32::MAX,
        ..MemoryMap::default()
    };
    let name = CString::new(title.chars().take(15).collect::<String>()).ok()?;
    // SAFETY: the kernel reads the structure and checks the addresses; the text is never freed.
    unsafe {
        libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_MAP, &raw const map, size_of::<MemoryMap>(), 0);
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
    }
    Some(())
}

/// A datagram socket of our own, for questions to the kernel about network devices.
///
/// # Errors
/// As socket(2).
fn inet_socket() -> io::Result<OwnedFd> {
    // SAFETY: no memory is handed over.
    fd_of(i64::from(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }))
}

/// Brings a network interface up.
///
/// # Errors
/// As netdevice(7)'s SIOCSIFFLAGS.
pub fn interface_up(name: &str) -> io::Result<()> {
    let socket = inet_socket()?;
    // SAFETY: all zeroes is a valid value of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *slot = byte as libc::c_char;
    }
    // SAFETY: the structure outlives both calls and its flags are what the first call wrote.
    unsafe {
        checked(i64::from(libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request)))?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        checked(i64::from(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)))?;
    }
    Ok(())
}
