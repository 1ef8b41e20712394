//! Compression of pages, with one state per thread.

#![expect(clippy::cast_possible_truncation, reason = "pages are bounded far below 2^32 bytes")]

use super::Fault;

/// How the pages of a file are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Codec {
    Uncompressed,
    Snappy,
    Lz4,
    Zstd(i32),
}

impl Codec {
    /// As the file metadata numbers it.
    pub(super) const fn number(self) -> i32 {
        match self {
            Self::Uncompressed => 0,
            Self::Snappy => 1,
            Self::Zstd(_) => 6,
            Self::Lz4 => 7,
        }
    }
}

/// Whether compressing a column's pages pays, as its last ones did.
#[derive(Default)]
pub(super) struct Worth {
    /// Pages to let pass before the next try.
    pass: u8,
}

impl Worth {
    /// Pages that go uncompressed after one that gained nothing.
    const PASSED: u8 = 15;
}

/// One thread's compressor and its buffer.
pub(super) struct Compressor {
    codec: Codec,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    snappy: snap::raw::Encoder,
    out: Vec<u8>,
}

impl Compressor {
    pub(super) fn new(codec: Codec) -> Self {
        Self { codec, zstd: None, snappy: snap::raw::Encoder::new(), out: Vec::new() }
    }

    /// Keeps at most this much room for the next page.
    pub(super) fn trim(&mut self, kept_bytes: usize) {
        if self.out.capacity() > kept_bytes {
            self.out = Vec::new();
        }
    }

    /// A page as it is written. Under zstd, a column whose pages do not shrink gets frames of raw blocks,
    /// which cost nothing to write or read.
    pub(super) fn compress<'a>(&'a mut self, page: &'a [u8], worth: &mut Worth) -> Result<&'a [u8], Fault> {
        const FAULT: Fault = Fault("a page cannot be compressed");
        self.out.clear();
        match self.codec {
            Codec::Uncompressed => return Ok(page),
            Codec::Snappy => {
                self.out.resize(snap::raw::max_compress_len(page.len()), 0);
                let length = self.snappy.compress(page, &mut self.out).map_err(|_| FAULT)?;
                self.out.truncate(length);
            }
            Codec::Lz4 => {
                self.out.resize(lz4_flex::block::get_maximum_output_size(page.len()), 0);
                let length = lz4_flex::block::compress_into(page, &mut self.out).map_err(|_| FAULT)?;
                self.out.truncate(length);
            }
            Codec::Zstd(level) => {
                if worth.pass > 0 {
                    worth.pass -= 1;
                    raw_frame(page, &mut self.out);
                    return Ok(&self.out);
                }
                let zstd = match &mut self.zstd {
                    Some(zstd) => zstd,
                    none => none.insert(zstd::bulk::Compressor::new(level).map_err(|_| FAULT)?),
                };
                self.out.reserve(zstd::zstd_safe::compress_bound(page.len()));
                zstd.compress_to_buffer(page, &mut self.out).map_err(|_| FAULT)?;
                if self.out.len() + page.len() / 32 >= page.len() && page.len() > 1 << 10 {
                    worth.pass = Worth::PASSED;
                    self.out.clear();
                    raw_frame(page, &mut self.out);
                }
            }
        }
        Ok(&self.out)
    }
}

/// A zstd frame that holds bytes as they are.
fn raw_frame(bytes: &[u8], out: &mut Vec<u8>) {
    const BLOCK: usize = 128 << 10;
    out.extend_from_slice(&0xfd2f_b528_u32.to_le_bytes());
    // A single segment whose size follows in four bytes.
    out.push(0b1010_0000);
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    let mut blocks = bytes.chunks(BLOCK).peekable();
    if blocks.peek().is_none() {
        out.extend_from_slice(&[1, 0, 0]);
    }
    while let Some(block) = blocks.next() {
        let last = u32::from(blocks.peek().is_none());
        out.extend_from_slice(&((block.len() as u32) << 3 | last).to_le_bytes()[..3]);
        out.extend_from_slice(block);
    }
}
