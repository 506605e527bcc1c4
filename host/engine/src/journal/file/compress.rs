//! Compression of a group's entries.

use std::io;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::compress_bound;

/// Measured on events of 200 bytes: level 1 leaves an eighth; higher ones take several times as long for
/// little more.
const LEVEL: i32 = 1;
/// Below it there is little to gain.
const MIN_BYTES: usize = 512;

/// Writes `bytes` to `compressed`, and says whether that is worth it: it takes at least an eighth less.
///
/// # Errors
/// There is no memory for it.
pub(crate) fn compress(
    compressor: &mut Option<Compressor<'static>>,
    bytes: &[u8],
    compressed: &mut Vec<u8>,
) -> io::Result<bool> {
    if bytes.len() < MIN_BYTES {
        return Ok(false);
    }
    let compressor = match compressor {
        Some(compressor) => compressor,
        none => none.insert(Compressor::new(LEVEL)?),
    };
    compressed.clear();
    compressed.reserve(compress_bound(bytes.len()));
    compressor.compress_to_buffer(bytes, compressed)?;
    Ok(compressed.len() <= bytes.len() - bytes.len() / 8)
}

/// Takes back what [`compress`] did. `length` is what there was: no more is ever made of it.
///
/// # Errors
/// It was not made by [`compress`], or not from so many bytes.
pub(crate) fn decompress(bytes: &[u8], length: usize) -> io::Result<Vec<u8>> {
    let mut decompressed = Vec::with_capacity(length);
    Decompressor::new()?.decompress_to_buffer(bytes, &mut decompressed)?;
    if decompressed.len() == length { Ok(decompressed) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_done_where_it_pays_and_bounded_where_it_is_undone() {
        let mut compressed = Vec::new();
        assert!(!compress(&mut None, &[7; MIN_BYTES - 1], &mut compressed).unwrap());
        let noise: Vec<u8> =
            (0..64u32).flat_map(|number| *blake3::hash(&number.to_le_bytes()).as_bytes()).collect();
        assert!(!compress(&mut None, &noise, &mut compressed).unwrap());
        assert!(compress(&mut None, &[7; 100_000], &mut compressed).unwrap());
        assert_eq!(decompress(&compressed, 100_000).unwrap(), [7; 100_000]);
        for wrong in [0, 10, 99_999, 100_001] {
            assert!(decompress(&compressed, wrong).is_err());
        }
    }
}
