//! Where does a name belong? The elastic hash.
//!
//! There is no table of files: a name's 32-bit hash says which brick it is on, and everybody can compute it. The hash is
//! Davies–Meyer over the block cipher TEA, as Linux's old reiserfs had it; the sixteen bytes of a block are the key, and
//! what was hashed so far is the text that is enciphered.
//!
//! Programs that write `.name.Xy12Ab` first and rename it to `name` would put every file on the wrong brick, so such
//! names are **munged** first: `.hello.Xy12Ab` hashes like `hello`.

const DELTA: u32 = 0x9e37_79b9;
const PART_ROUNDS: u32 = 6;
const FULL_ROUNDS: u32 = 10;

/// The hash of a name as it stands, without munging (`gf_dm_hashfn`).
pub fn davies_meyer(name: &[u8]) -> u32 {
    let mut state = (0x9464_a485_u32, 0x542e_1a94_u32);
    let blocks = name.chunks_exact(16);
    let tail = blocks.remainder();
    for block in blocks {
        let word = |i: usize| u32::from_le_bytes([block[i], block[i + 1], block[i + 2], block[i + 3]]);
        state = round(state, [word(0), word(4), word(8), word(12)], PART_ROUNDS);
    }
    let (h0, h1) = round(state, last_block(tail, name.len()), FULL_ROUNDS);
    h0 ^ h1
}

/// One block: enciphers the state under the block and adds it to itself.
fn round((h0, h1): (u32, u32), [a0, a1, a2, a3]: [u32; 4], rounds: u32) -> (u32, u32) {
    let (mut b0, mut b1, mut sum) = (h0, h1, 0_u32);
    for _ in 0..rounds {
        sum = sum.wrapping_add(DELTA);
        b0 = b0.wrapping_add((b1 << 4).wrapping_add(a0) ^ b1.wrapping_add(sum) ^ (b1 >> 5).wrapping_add(a1));
        b1 = b1.wrapping_add((b0 << 4).wrapping_add(a2) ^ b0.wrapping_add(sum) ^ (b0 >> 5).wrapping_add(a3));
    }
    (h0.wrapping_add(b0), h1.wrapping_add(b1))
}

/// The last, padded block: whole words, then one word that takes the bytes left over, then the padding: the length of
/// the whole name in every byte. Bytes are C's `signed char`: one from 0x80 up overwrites what stands above it.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]
fn last_block(tail: &[u8], length: usize) -> [u32; 4] {
    let short = length as u32 | (length as u32) << 8;
    let pad = short | short << 16;
    let mut block = [pad; 4];
    for (word, bytes) in block.iter_mut().zip(tail.chunks(4)) {
        *word = match bytes.try_into() {
            Ok(whole) => u32::from_le_bytes(whole),
            Err(_) => bytes.iter().fold(pad, |w, b| w << 8 | (*b as i8) as i32 as u32),
        };
    }
    block
}

/// What of a name is hashed: `.hello.Xy12Ab` → `hello` (`^\.(.+)\.[^.]+$`, the first group); other names as they are.
pub fn munged(name: &[u8]) -> &[u8] {
    let inner = || {
        let rest = name.strip_prefix(b".")?;
        let dot = rest.iter().rposition(|b| *b == b'.')?;
        (dot > 0 && dot + 1 < rest.len()).then(|| &rest[..dot])
    };
    inner().unwrap_or(name)
}

/// The hash of a name in a directory: munged, then hashed.
pub fn of_name(name: &[u8]) -> u32 {
    davies_meyer(munged(name))
}

/// Paul Hsieh's SuperFastHash of a gfid, by which a client picks the copy that it reads (`cluster.read-hash-mode 1`).
pub fn super_fast(data: &[u8]) -> u32 {
    #[expect(clippy::cast_possible_truncation)]
    let mut hash = data.len() as u32;
    for four in data.chunks_exact(4) {
        let half = |i: usize| u32::from(u16::from_le_bytes([four[i], four[i + 1]]));
        hash = hash.wrapping_add(half(0));
        hash = (hash << 16) ^ (half(2) << 11) ^ hash;
        hash = hash.wrapping_add(hash >> 11);
    }
    hash ^= hash << 3;
    hash = hash.wrapping_add(hash >> 5);
    hash ^= hash << 4;
    hash = hash.wrapping_add(hash >> 17);
    hash ^= hash << 25;
    hash.wrapping_add(hash >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and hashes observed on a real cluster; a file lands where GlusterFS would put it.
    #[test]
    fn names_hash_as_in_glusterfs() {
        let vectors: &[(&str, u32)] = &[
            ("a", 0x3a17_e4e6),
            ("hello", 0xa792_3147),
            ("file1", 0xa787_fa82),
            ("README.md", 0x4962_4ce6),
            ("hello.c", 0x185b_4fab),
            ("0123456789abcde", 0x9fc1_c536),
            ("0123456789abcdef", 0x6ecb_5ada),
            ("the-quick-brown-fox-jumps-over.txt", 0x6f26_0733),
            ("with space", 0x0202_ca28),
            (".bashrc", 0xe759_f102),
            (".hello.Xy12Ab", 0xa792_3147),
            (".rsync.tmp.Zz0000", 0xa036_a42e),
            ("rsync.tmp", 0xa036_a42e),
            ("é", 0x65cf_caa1),
            ("日本.txt", 0x7bfb_4cb2),
            ("café", 0x9e08_9967),
            ("index.html", 0x1877_4d16),
            ("", 0x8847_74a2),
            ("/", 0x8619_bd58),
            ("/d1", 0x2514_b7f2),
            ("/d2", 0x6d21_ead3),
            ("/dir", 0x93e5_ca0a),
        ];
        for (name, hash) in vectors {
            assert_eq!(of_name(name.as_bytes()), *hash, "{name}");
        }
    }

    /// The regular expression is greedy, needs something between the dots and something behind the last one.
    #[test]
    fn temporary_names_are_munged() {
        for (name, inner) in [(".a.b.c", "a.b"), (".hello.Xy12Ab", "hello"), (".bashrc", ".bashrc")] {
            assert_eq!(munged(name.as_bytes()), inner.as_bytes());
        }
        for name in ["..x", ".x.", "a.b", ".", ".."] {
            assert_eq!(munged(name.as_bytes()), name.as_bytes());
        }
    }
}
