//! What overlayfs finds in the image: whiteouts, opaque directories and extended attributes.

use super::archive::Archive;
use super::inspect::Image;

/// `trusted.overlay.opaque=y`.
const OPAQUE: &[u8] = b"\x0e\x04\x01\0overlay.opaquey\0";

#[test]
fn removed_files_are_devices_without_a_driver() {
    let image = Image::packed(Archive::new().file("d/.wh.gone", b"").file("d/kept", b""));
    assert!(image.is_whiteout("/d/gone"));
    assert!(!image.is_whiteout("/d/kept"));
    assert!(image.dump("/d/.wh.gone").is_none());
}

#[test]
fn directory_whose_lower_contents_are_hidden_is_opaque_wherever_that_is_said() {
    let before = Archive::new().file("d/.wh..wh..opq", b"").folder("d").file("d/x", b"");
    assert_eq!(Image::packed(before).xattrs("/d"), OPAQUE);
    let after = Archive::new().folder("d").file("d/x", b"").file("d/.wh..wh..opq", b"");
    let image = Image::packed(after);
    assert_eq!(image.xattrs("/d"), OPAQUE);
    assert!(image.dump("/d/.wh..wh..opq").is_none());
    assert_eq!(image.xattrs("/"), b"");
}

#[test]
fn directory_in_the_place_of_a_removed_one_is_opaque() {
    let image = Image::packed(Archive::new().file(".wh.d", b"").file("d/x", b""));
    assert_eq!(image.xattrs("/d"), OPAQUE);
    let image = Image::packed(Archive::new().file("d/x", b"").file(".wh.d", b""));
    assert_eq!(image.xattrs("/d"), OPAQUE);
}

#[test]
fn file_in_the_place_of_a_removed_one_is_a_file() {
    let image = Image::packed(Archive::new().file(".wh.a", b"").file("a", b"x").file(".wh.a", b""));
    assert!(!image.is_whiteout("/a"));
}

#[test]
fn other_marks_of_aufs_are_left_out() {
    let image = Image::packed(Archive::new().folder(".wh..wh.plnk").file(".wh..wh.aufs", b""));
    assert!(image.dump("/.wh..wh.plnk").is_none() && image.dump("/.wh..wh.aufs").is_none());
}

#[test]
fn attributes_of_an_image_are_kept_but_for_those_of_overlayfs() {
    let records = [
        ("SCHILY.xattr.security.capability", &b"\x01\0\0\x02"[..]),
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.user.a", b"bc"),
    ];
    let image = Image::packed(Archive::new().extended(&records).file("f", b"x"));
    let capability = b"\x0a\x06\x04\0capability\x01\0\0\x02\0\0";
    assert_eq!(image.xattrs("/f"), [&capability[..], b"\x01\x01\x02\0abc\0"].concat());
}

#[test]
fn set_user_id_and_its_like_are_kept() {
    let image = Image::packed(Archive::new().with(b'0', "f", b"x", |header| {
        header[100..108].copy_from_slice(b"0107755\0");
    }));
    assert_eq!(image.inode("/f")[4..6], 0o107_755_u16.to_le_bytes());
}
