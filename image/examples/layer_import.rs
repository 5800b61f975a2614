//! Makes an EROFS image of a gzipped layer, and says how long that takes beside hashing and
//! unpacking it: `layer_import LAYER IMAGE`.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use flate2::bufread::MultiGzDecoder;
use image::layer::{Limits, import};
use sha2::{Digest, Sha256};

/// Seconds for what nobody can leave out: one thread that hashes, unpacks and hashes again.
fn unpack_alone(layer: &Path) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let packed = fs::read(layer)?;
    let digest = Sha256::digest(&packed);
    let mut unpacked = MultiGzDecoder::new(BufReader::new(&packed[..]));
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 256 << 10]);
    loop {
        let len = unpacked.read(&mut piece)?;
        if len == 0 {
            break;
        }
        hash.update(&piece[..len]);
    }
    assert_ne!(digest, hash.finalize());
    Ok(start.elapsed().as_secs_f64())
}

/// Seconds for the whole, and MiB of the archive.
fn whole(layer: &Path, image: &Path) -> Result<(f64, f64), Box<dyn Error>> {
    let start = Instant::now();
    let mut out = File::create(image)?;
    let imported = import(File::open(layer)?, &mut out, &Limits::default())?;
    let mib = imported.uncompressed_size as f64 / f64::from(1 << 20);
    Ok((start.elapsed().as_secs_f64(), mib))
}

#[allow(clippy::print_stdout, reason = "it is what this program is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let (layer, image) = paths.next().zip(paths.next()).ok_or("usage: LAYER IMAGE")?;
    for _ in 0..3 {
        let (alone, (took, mib)) = (unpack_alone(&layer)?, whole(&layer, &image)?);
        println!(
            "{mib:.0} MiB: {:.0} MiB/s unpacked alone, {:.0} MiB/s imported, {:.2} times the time",
            mib / alone,
            mib / took,
            took / alone
        );
    }
    Ok(())
}
