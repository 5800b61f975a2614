//! Taking a layer in: hashed, inflated, converted and kept in one pass.

use std::io::{self, BufWriter, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::NamedTempFile;

use super::{Layer, LayerError, Lease, Store, StoreError, files};
use crate::Digest;
use crate::digest::Hashing;
use crate::layer::{self, Limits};
use crate::manifest::{OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};

/// What a manifest and a configuration say of a layer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) digest: Option<Digest>,
    pub(crate) size: Option<u64>,
    pub(crate) diff_id: Option<Digest>,
}

/// A blob that is written while its layer is read.
enum Blob {
    /// As it comes.
    Same(BufWriter<NamedTempFile>),
    /// Compressed, since it comes without: pushes and disks want it so.
    Compressed(Box<GzEncoder<Hashing<BufWriter<NamedTempFile>>>>),
}

/// Hands a stream on and keeps it.
struct Keeping<R> {
    source: R,
    blob: Blob,
}

impl<R: Read> Read for Keeping<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        match &mut self.blob {
            Blob::Same(file) => file.write_all(read)?,
            Blob::Compressed(encoder) => encoder.write_all(read)?,
        }
        Ok(count)
    }
}

impl Store {
    /// Reads a layer to its end and puts it into the store in both forms, if it is what is
    /// expected. `lease` keeps it until an image refers to it. Called on a thread that may block.
    pub(crate) fn take_layer(
        &self,
        name: &str,
        source: impl Read + Send,
        expected: &Expected,
        lease: &mut Lease,
    ) -> Result<Layer, StoreError> {
        let taken = self.convert_layer(name, source, expected, lease);
        taken.map_err(|error| error.of_disk(&self.inner.folders.root))
    }

    fn convert_layer(
        &self,
        name: &str,
        source: impl Read + Send,
        expected: &Expected,
        lease: &mut Lease,
    ) -> Result<Layer, StoreError> {
        let refused = |source: LayerError| StoreError::Layer { name: name.to_owned(), source };
        let (head, source) = with_head(source).map_err(|e| refused(LayerError::Read(e)))?;
        let compress = expected.digest.is_none() && !is_compressed(&head);
        let mut erofs = self.inner.folders.temporary_file()?;
        let blob = BufWriter::with_capacity(1 << 18, self.inner.folders.temporary_file()?);
        let mut source = Keeping { source, blob: Blob::new(blob, compress) };
        let imported = layer::import(&mut source, erofs.as_file_mut(), &Limits::default())
            .map_err(|e| refused(e.into()))?;
        let (blob, compressed) = source.blob.finish().map_err(|e| refused(LayerError::Read(e)))?;
        let (blob_digest, blob_size) =
            compressed.unwrap_or((imported.digest, imported.compressed_size));
        let layer = Layer {
            diff_id: imported.diff_id,
            blob: blob_digest,
            blob_size,
            media_type: media_type(&head, compress).to_owned(),
            size: imported.uncompressed_size,
        };
        expected.check(&layer).map_err(refused)?;
        self.publish_layer(layer, compress, erofs, blob, lease)
    }

    fn publish_layer(
        &self,
        layer: Layer,
        any_blob: bool,
        erofs: NamedTempFile,
        blob: NamedTempFile,
        lease: &mut Lease,
    ) -> Result<Layer, StoreError> {
        let folders = &self.inner.folders;
        {
            let mut state = self.state();
            let same = |known: &&Layer| known.diff_id == layer.diff_id;
            if let Some(known) = state.layers.values().find(same).cloned().filter(|_| any_blob) {
                lease.take_locked(&mut state, &[known.blob, known.diff_id]);
                return Ok(known);
            }
            lease.take_locked(&mut state, &[layer.blob, layer.diff_id]);
        }
        let path = folders.layer(&layer.diff_id);
        if !path.exists() {
            files::publish(erofs, &path)?;
        }
        files::publish(blob, &folders.blob(&layer.blob))?;
        self.state().layers.insert(layer.blob, layer.clone());
        Ok(layer)
    }
}

impl Blob {
    fn new(file: BufWriter<NamedTempFile>, compress: bool) -> Self {
        match compress {
            false => Self::Same(file),
            true => {
                let encoder = GzEncoder::new(Hashing::new(file), Compression::fast());
                Self::Compressed(Box::new(encoder))
            }
        }
    }

    /// The file, with digest and length where they are not those of what came.
    fn finish(self) -> io::Result<(NamedTempFile, Option<(Digest, u64)>)> {
        let (file, digest) = match self {
            Self::Same(file) => (file, None),
            Self::Compressed(encoder) => {
                let (file, digest, size) = encoder.finish()?.finish();
                (file, Some((digest, size)))
            }
        };
        Ok((file.into_inner().map_err(io::IntoInnerError::into_error)?, digest))
    }
}

impl Expected {
    fn check(&self, layer: &Layer) -> Result<(), LayerError> {
        if let Some(expected) = self.size.filter(|expected| *expected != layer.blob_size) {
            return Err(LayerError::Size { expected, found: layer.blob_size });
        }
        if let Some(expected) = self.digest.filter(|expected| *expected != layer.blob) {
            return Err(LayerError::Digest { expected, found: layer.blob });
        }
        match self.diff_id.filter(|expected| *expected != layer.diff_id) {
            Some(expected) => Err(LayerError::DiffId { expected, found: layer.diff_id }),
            None => Ok(()),
        }
    }
}

/// The first bytes of a stream, and the whole of it.
fn with_head<R: Read>(mut source: R) -> io::Result<(Vec<u8>, impl Read)> {
    let mut head = Vec::with_capacity(4);
    source.by_ref().take(4).read_to_end(&mut head)?;
    Ok((head.clone(), io::Cursor::new(head).chain(source)))
}

fn is_compressed(head: &[u8]) -> bool {
    media_type(head, false) != OCI_LAYER
}

fn media_type(head: &[u8], compress: bool) -> &'static str {
    match head {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => OCI_LAYER_ZSTD,
        [0x1f, 0x8b, ..] => OCI_LAYER_GZIP,
        _ if compress => OCI_LAYER_GZIP,
        _ => OCI_LAYER,
    }
}
