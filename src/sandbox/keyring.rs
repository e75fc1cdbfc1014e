//! The session keyring: where a login keeps its keys (session-keyring(7)). It is inherited through every namespace, so whoever
//! is inside would see, use and change the keys of the login outside; therefore what goes inside takes a fresh one.

/// Takes a fresh, empty session keyring. A kernel without keys has none to hide.
pub fn take_fresh() {
    // SAFETY: plain numbers; the null name asks for an anonymous keyring.
    unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, 0usize) };
}
