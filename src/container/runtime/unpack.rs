//! Archives unpacked: an image's layers, each into a folder of its own, and plain root filesystems.

use std::fs;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use tar::{Archive, EntryType};

use super::super::oci::{self, Image, Layer, Run};
use super::{Doing, Error};

/// An image, unpacked.
pub struct Unpacked {
    /// The folders of its layers, lowest first.
    pub layers: Vec<PathBuf>,
    /// What it runs.
    pub run: Run,
}

/// Unpacks the image at `path` (a folder, or a tar of one) with the layers below `store`, each in a folder named by its
/// digest: a layer that is there already is not unpacked again.
///
/// # Errors
/// When it is no image, damaged, or cannot be written.
pub fn image(path: &Path, tag: Option<&str>, store: &Path) -> Result<Unpacked, Error> {
    if path.is_dir() {
        return from_folder(path, tag, store);
    }
    let passing = store.join(format!(".image-{}", std::process::id()));
    fs::create_dir_all(&passing).doing(|| format!("make {}", passing.display()))?;
    let unpacked = archive(path, &passing).and_then(|()| from_folder(&passing, tag, store));
    let _ = fs::remove_dir_all(&passing);
    unpacked
}

fn from_folder(folder: &Path, tag: Option<&str>, store: &Path) -> Result<Unpacked, Error> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let said = |e: oci::NoImage| Error::said(format!("{}: {e}", folder.display()));
    let Image { layers, config } = oci::image(&read, tag).map_err(said)?;
    let run = oci::run(&read(&config).unwrap_or_default()).map_err(said)?;
    let layers = layers.iter().map(|l| layer(folder, l, store)).collect::<Result<_, _>>()?;
    Ok(Unpacked { layers, run })
}

/// One layer's folder, unpacked if it is not there.
fn layer(folder: &Path, layer: &Layer, store: &Path) -> Result<PathBuf, Error> {
    let (target, tar) = (store.join(layer.short()), folder.join(&layer.path));
    if target.is_dir() {
        return Ok(target);
    }
    if let Some(digest) = &layer.digest {
        verify(&tar, digest)?;
    }
    let passing = store.join(format!(".layer-{}", std::process::id()));
    let _ = fs::remove_dir_all(&passing);
    fs::create_dir_all(&passing).doing(|| format!("make {}", passing.display()))?;
    archive(&tar, &passing)?;
    fs::rename(&passing, &target).doing(|| format!("make {}", target.display()))?;
    Ok(target)
}

fn verify(path: &Path, digest: &str) -> Result<(), Error> {
    let mut file = fs::File::open(path).doing(|| format!("open the layer {}", path.display()))?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block).doing(|| format!("read {}", path.display()))? {
            0 => break,
            n => hash.update(&block[..n]),
        }
    }
    let found: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    if digest.trim_start_matches("sha256:") == found {
        Ok(())
    } else {
        Err(Error::said(format!("{} is damaged: its digest is sha256:{found}", path.display())))
    }
}

/// Unpacks a tar, compressed with gzip or not (with zstd or xz where the machine has these), into a folder. Device nodes are left out: a container has its own.
///
/// # Errors
/// When it is no such archive, or cannot be written.
pub fn archive(path: &Path, to: &Path) -> Result<(), Error> {
    let doing = || format!("unpack {}", path.display());
    let mut file = BufReader::new(fs::File::open(path).doing(|| format!("open {}", path.display()))?);
    let start = io::BufRead::fill_buf(&mut file).doing(doing)?.get(..6).unwrap_or_default().to_vec();
    match start.as_slice() {
        [0x1f, 0x8b, ..] => entries(MultiGzDecoder::new(file), to).doing(doing),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => through("zstd", path, to),
        [0xfd, b'7', b'z', b'X', b'Z', _] => through("xz", path, to),
        _ => entries(file, to).doing(doing),
    }
}

/// Unpacks what the machine's own program (`zstd`, `xz`) decompresses.
fn through(program: &str, path: &Path, to: &Path) -> Result<(), Error> {
    let shown = path.display();
    let child = Command::new(program).arg("-dc").arg(path).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::said(format!(
            "{shown} is compressed with {program}, which this machine does not have; install it, or use gzip"
        )),
        _ => Error::Io { doing: format!("run {program}"), source: e },
    })?;
    let unpacked = child.stdout.take().map_or(Ok(()), |bytes| entries(bytes, to));
    let status = child.wait().doing(|| format!("wait for {program}"))?;
    unpacked.doing(|| format!("unpack {shown}"))?;
    if status.success() { Ok(()) } else { Err(Error::said(format!("{shown}: {program} ended with {status}"))) }
}

fn entries(archive: impl Read, to: &Path) -> io::Result<()> {
    let mut archive = Archive::new(archive);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(has_many_ids());
    archive.set_unpack_xattrs(false);
    let mut folders = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        match entry.header().entry_type() {
            EntryType::Char | EntryType::Block | EntryType::Fifo => {}
            EntryType::Directory => folders.push(entry), // last, so that a read-only one can be filled
            _ => drop(entry.unpack_in(to)?),
        }
    }
    folders.into_iter().try_for_each(|mut folder| folder.unpack_in(to).map(drop))
}

/// Whether files may belong to others than root here.
fn has_many_ids() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    super::ids::identity(&map).iter().map(|(_, _, count)| u64::from(*count)).sum::<u64>() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            builder.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// A saved image becomes one folder a layer, whiteouts and all; a second time nothing is unpacked.
    #[test]
    fn layers_are_branches() {
        let dir = tempfile::tempdir().unwrap();
        let (image, store) = (dir.path().join("image"), dir.path().join("store"));
        fs::create_dir_all(image.join("aaaaaaaaaaaa")).unwrap();
        fs::create_dir_all(image.join("bbbbbbbbbbbb")).unwrap();
        fs::write(image.join("aaaaaaaaaaaa/layer.tar"), tar(&[("etc/motd", "low"), ("bin/sh", "x")])).unwrap();
        fs::write(image.join("bbbbbbbbbbbb/layer.tar"), tar(&[("etc/.wh.motd", "")])).unwrap();
        fs::write(image.join("c.json"), r#"{"config":{"Cmd":["/bin/sh"]}}"#).unwrap();
        let manifest = r#"[{"Config":"c.json","Layers":["aaaaaaaaaaaa/layer.tar","bbbbbbbbbbbb/layer.tar"]}]"#;
        fs::write(image.join("manifest.json"), manifest).unwrap();
        let unpacked = super::image(&image, None, &store).unwrap();
        assert_eq!(unpacked.run.command, ["/bin/sh"]);
        assert!(unpacked.layers[0].join("etc/motd").exists() && unpacked.layers[1].join("etc/.wh.motd").exists());
        fs::write(unpacked.layers[0].join("mark"), "").unwrap();
        super::image(&image, None, &store).unwrap();
        assert!(unpacked.layers[0].join("mark").exists());
    }

    /// What is no image, or was changed on its way, is said to be so.
    #[test]
    fn damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("blob"), "changed").unwrap();
        assert!(verify(&dir.path().join("blob"), "sha256:00").unwrap_err().to_string().contains("damaged"));
        assert!(image(dir.path(), None, dir.path()).err().unwrap().to_string().contains("neither"));
    }
}
