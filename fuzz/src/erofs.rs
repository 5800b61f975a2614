//! A reader of EROFS images that believes nothing, for what the images we write must be.

use std::collections::HashMap;

const BLOCK: usize = 4096;
/// First field of an inode's format: long, and bits 1 to 3 for the layout.
const PLAIN: u16 = 1;
const INLINE: u16 = 5;
const CHUNKS: u16 = 9;

/// An image in memory.
struct Image<'a> {
    bytes: &'a [u8],
    inodes_at: usize,
}

/// What is of interest in an inode.
struct Inode {
    layout: u16,
    mode: u16,
    size: usize,
    place: u32,
    links: u32,
    /// Where its attributes end.
    end: usize,
}

/// Checks an image as Linux reads it: returns how many inodes it has. Panics where Linux would find
/// it damaged.
pub fn check(bytes: &[u8]) -> usize {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    assert_eq!(word(1024), 0xe0f5_e1e2, "there is no super block");
    assert_eq!(word(1024 + 36) as usize * BLOCK, bytes.len(), "blocks are missing");
    let image = Image { bytes, inodes_at: word(1024 + 40) as usize * BLOCK };
    let root = u64::from(word(1024 + 14) & 0xffff);
    // Links that entries make, by the inode's number.
    let mut links: HashMap<u64, u32> = HashMap::from([(root, 0)]);
    let mut directories = vec![(root, root)];
    while let Some((directory, parent)) = directories.pop() {
        for (name, number) in image.entries(directory) {
            match &name[..] {
                b"." => assert_eq!(number, directory, ". is elsewhere"),
                b".." => assert_eq!(number, parent, ".. is elsewhere"),
                _ if !links.contains_key(&number) => {
                    if image.inode(number).mode & 0o170_000 == 0o040_000 {
                        directories.push((number, directory));
                    }
                }
                _ => {}
            }
            *links.entry(number).or_default() += 1;
        }
    }
    for (number, links) in &links {
        let inode = image.inode(*number);
        assert_eq!(inode.links, *links, "links of {number}");
        image.check_data(&inode);
    }
    assert_eq!(word(1024 + 16) as usize, links.len(), "count of inodes");
    links.len()
}

impl Image<'_> {
    fn number<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes[at..at + N].try_into().expect("bytes")
    }

    fn inode(&self, number: u64) -> Inode {
        let at = self.inodes_at + 32 * number as usize;
        assert!(at % BLOCK <= BLOCK - 64, "an inode is in two blocks");
        let units = usize::from(u16::from_le_bytes(self.number(at + 2)));
        let xattrs = if units == 0 { 0 } else { 12 + 4 * (units - 1) };
        Inode {
            layout: u16::from_le_bytes(self.number(at)),
            mode: u16::from_le_bytes(self.number(at + 4)),
            size: u64::from_le_bytes(self.number(at + 8)) as usize,
            place: u32::from_le_bytes(self.number(at + 16)),
            links: u32::from_le_bytes(self.number(at + 44)),
            end: at + 64 + xattrs,
        }
    }

    /// Checks that all data is within the image.
    fn check_data(&self, inode: &Inode) {
        let has_data = matches!(inode.mode & 0o170_000, 0o040_000 | 0o100_000 | 0o120_000);
        let start = inode.place as usize * BLOCK;
        match inode.layout {
            _ if !has_data => {}
            PLAIN => assert!(start + inode.size <= self.bytes.len(), "data is outside"),
            INLINE => {
                let tail = inode.size % BLOCK;
                assert!(start + inode.size - tail <= self.bytes.len(), "data is outside");
                assert!(inode.end % BLOCK + tail <= BLOCK, "a tail is in two blocks");
                assert!(inode.end + tail <= self.bytes.len(), "a tail is outside");
            }
            CHUNKS => {
                let chunk = BLOCK << (inode.place & 31);
                for n in 0..inode.size.div_ceil(chunk) {
                    let block = u32::from_le_bytes(self.number(inode.end + 4 * n));
                    let len = chunk.min(inode.size - n * chunk);
                    let inside = block as usize * BLOCK + len <= self.bytes.len();
                    assert!(block == u32::MAX || inside, "a chunk is outside");
                }
            }
            other => panic!("layout {other}"),
        }
    }

    /// The entries of a directory, which are sorted.
    fn entries(&self, directory: u64) -> Vec<(Vec<u8>, u64)> {
        let inode = self.inode(directory);
        let whole = if inode.layout == INLINE { inode.size / BLOCK * BLOCK } else { inode.size };
        let start = inode.place as usize * BLOCK;
        let mut data = self.bytes[start..start + whole].to_vec();
        data.extend(&self.bytes[inode.end..inode.end + inode.size - whole]);
        let mut entries: Vec<(Vec<u8>, u64)> = Vec::new();
        for block in data.chunks(BLOCK) {
            let field = |at: usize| usize::from(u16::from_le_bytes([block[at], block[at + 1]]));
            let count = field(8) / 12;
            for n in 0..count {
                let end = if n + 1 < count { field(12 * n + 20) } else { block.len() };
                let name = block[field(12 * n + 8)..end].split(|byte| *byte == 0).next();
                let name = name.unwrap_or_default().to_vec();
                assert!((1..256).contains(&name.len()) && !name.contains(&b'/'), "{name:?}");
                let number = u64::from_le_bytes(block[12 * n..12 * n + 8].try_into().expect("8"));
                assert!(entries.last().is_none_or(|(last, _)| *last < name), "not sorted");
                entries.push((name, number));
            }
        }
        entries
    }
}
