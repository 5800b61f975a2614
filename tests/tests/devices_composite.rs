//! A disk of several files: layers of an image, as a guest's kernel reads and stacks them.

use std::fs::File;
use std::path::{Path, PathBuf};

use image::Digest;
use image::layer::{Limits, import};
use tar::{Builder, EntryType, Header};
use tests::{Kernel, TestVm, pattern};
use vm_spec::{Component, DiskCompositeSpec, DiskSpec};

/// A layer under construction.
struct Layer(Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn entry(
        mut self,
        kind: EntryType,
        path: &str,
        content: &[u8],
        adjust: impl FnOnce(&mut Header),
    ) -> anyhow::Result<Self> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_size(content.len() as u64);
        header.set_mtime(1_000_000_000);
        adjust(&mut header);
        self.0.append_data(&mut header, path, content)?;
        Ok(self)
    }

    fn file(self, path: &str, content: &[u8]) -> anyhow::Result<Self> {
        self.entry(EntryType::Regular, path, content, |_| ())
    }

    /// Makes it the image at `path`.
    fn write(self, path: &Path) -> anyhow::Result<()> {
        let mut out = File::create_new(path)?;
        import(&self.0.into_inner()?[..], &mut out, &Limits::default())?;
        Ok(())
    }
}

/// Writes a layer, and one that hides and changes what is in it.
fn write_layers([lower, upper]: &[PathBuf; 2], large: &[u8]) -> anyhow::Result<()> {
    Layer::new()
        .file("dir/kept", b"lower\n")?
        .file("dir/changed", b"lower\n")?
        .file("dir/gone", b"lower\n")?
        .file("opaque/old", b"lower\n")?
        .file("file-then-dir", b"lower\n")?
        .file("large", large)?
        .write(lower)?;
    Layer::new()
        .file("dir/changed", b"upper\n")?
        .file("dir/.wh.gone", b"")?
        .file("opaque/.wh..wh..opq", b"")?
        .file("opaque/new", b"upper\n")?
        .file(".wh.file-then-dir", b"")?
        .file("file-then-dir/x", b"upper\n")?
        .entry(EntryType::Regular, "program", b"#!\n", |header| {
            header.set_mode(0o4711);
            header.set_uid(70_000);
            header.set_gid(5);
        })?
        .entry(EntryType::Link, "dir/hard", b"", |header| {
            let _ = header.set_link_name("program");
        })?
        .entry(EntryType::Symlink, "symlink", b"", |header| {
            let _ = header.set_link_name("dir/kept");
        })?
        .entry(EntryType::Char, "device", b"", |header| {
            let _ = header.set_device_major(1).and_then(|()| header.set_device_minor(3));
        })?
        .entry(EntryType::Fifo, "fifo", b"", |_| ())?
        .write(upper)
}

#[test]
fn guest_stacks_the_layers_of_a_composite_disk() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?;
    let parts = ["lower", "upper"].map(|name| vm.folder().join(name));
    let large = pattern(5_000_001);
    write_layers(&parts, &large)?;
    let disk = DiskSpec {
        read_only: true,
        serial: Some("layers".to_owned()),
        ..DiskSpec::new("parts".parse()?)
    };
    let vm = vm
        .with("disk", Component::Disk(disk))?
        .with("parts", Component::DiskComposite(DiskCompositeSpec { parts: parts.to_vec() }))?
        .boot()?;

    assert_eq!(vm.exec("cat /sys/block/vda/serial /sys/block/vda/ro")?, "layers1");
    vm.exec(
        "mkdir /lower /upper /merged && mount -t erofs -o ro /dev/vda1 /lower && \
         mount -t erofs -o ro /dev/vda2 /upper && \
         mount -t overlay -o ro,lowerdir=/upper:/lower overlay /merged",
    )?;
    assert_eq!(
        vm.exec("cd /merged && find . | sort | xargs echo")?,
        ". ./device ./dir ./dir/changed ./dir/hard ./dir/kept ./fifo ./file-then-dir \
         ./file-then-dir/x ./large ./opaque ./opaque/new ./program ./symlink"
    );
    let read = vm.exec("cd /merged && cat dir/changed symlink opaque/new file-then-dir/x")?;
    assert_eq!(read, "upper\nlower\nupper\nupper");
    let attributes = "cd /merged && stat -c '%n %a %u:%g %h %t,%T %Y %F' program device fifo";
    assert_eq!(
        vm.exec(attributes)?,
        "program 4711 70000:5 2 0,0 1000000000 regular file\n\
         device 644 0:0 1 1,3 1000000000 character special file\n\
         fifo 644 0:0 1 0,0 1000000000 fifo"
    );
    assert_eq!(vm.exec("[ /merged/program -ef /merged/dir/hard ] && echo same")?, "same");
    assert_eq!(vm.exec("stat -c '%t,%T %F' /upper/dir/gone")?, "0,0 character special file");

    // Large enough for requests of many blocks.
    let sum = vm.exec("sha256sum </merged/large | cut -c1-64")?;
    assert_eq!(sum, Digest::of(&large).hex());
    vm.exec("! dd if=/dev/zero of=/dev/vda1 bs=4096 count=1 oflag=direct")?;
    Ok(())
}
