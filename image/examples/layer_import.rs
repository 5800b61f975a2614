//! Makes an EROFS image of a gzipped layer, and says how long that takes beside hashing and
//! unpacking it: `layer_import LAYER IMAGE [TURNS]`. For each turn it prints MiB of the unpacked
//! archive, seconds for hashing and unpacking alone, and seconds for the whole.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;
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
    let mut arguments = std::env::args().skip(1);
    let paths = arguments.next().zip(arguments.next());
    let (layer, image) = paths.ok_or("usage: LAYER IMAGE [TURNS]")?;
    let turns = arguments.next().map_or(Ok(3), |turns| turns.parse())?;
    for _ in 0..turns {
        let (alone, (took, mib)) =
            (unpack_alone(layer.as_ref())?, whole(layer.as_ref(), image.as_ref())?);
        println!("{mib} {alone} {took}");
    }
    Ok(())
}
