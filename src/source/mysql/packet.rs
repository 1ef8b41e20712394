//! Packets out of a byte stream: large reads into one buffer that is used again and again, and each
//! packet seen where it lies.

use std::io;
use std::ops::Range;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Room for reads while packets are small.
const BUFFER_BYTES: usize = 256 << 10;
/// The longest packet of a login, before anybody is known; of an exchange after it: 1 GiB, the server's
/// own limit, and its frame.
const LOGIN_BYTES: usize = BUFFER_BYTES;
const MOST_BYTES: usize = 2 << 30;
/// A packet this long goes on in the next one.
const PART_BYTES: usize = 0xff_ffff;
const HEADER_BYTES: usize = 4;

/// Bytes received and not yet taken.
pub(super) struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The number that the next packet of an exchange carries.
    sequence: u8,
    /// The longest packet that is taken.
    most_bytes: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, sequence: 0, most_bytes: LOGIN_BYTES }
    }

    /// Whoever is on the other end has proved to be the server: rows may be long.
    pub(super) fn trust(&mut self) {
        self.most_bytes = MOST_BYTES;
    }

    /// The number for the next packet that we send.
    pub(super) fn sequence(&self) -> u8 {
        self.sequence
    }

    /// Goes on counting from here, after packets that we sent.
    pub(super) fn set_sequence(&mut self, sequence: u8) {
        self.sequence = sequence;
    }

    /// What was received and belongs to nobody: must be nothing when the stream changes hands.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The payload of the next packet, if all of it is here: [`Inbox::bytes`] of it stay until the
    /// next [`Inbox::fill`].
    #[inline]
    pub(super) fn packet(&mut self) -> Option<Range<usize>> {
        let rest = &self.buffer[self.start..self.end];
        let (&[b0, b1, b2, sequence], after) = rest.split_first_chunk::<HEADER_BYTES>()?;
        let length = length([b0, b1, b2]);
        if length == PART_BYTES {
            return self.long_packet();
        }
        if after.len() < length {
            return None;
        }
        let from = self.start + HEADER_BYTES;
        self.start = from + length;
        self.sequence = sequence.wrapping_add(1);
        Some(from..from + length)
    }

    /// A packet of several parts: they are moved together when the last is here.
    #[cold]
    fn long_packet(&mut self) -> Option<Range<usize>> {
        let (mut parts, mut at) = (Vec::new(), self.start);
        loop {
            let header = self.buffer[at..self.end].first_chunk::<HEADER_BYTES>()?;
            let &[b0, b1, b2, sequence] = header;
            let length = length([b0, b1, b2]);
            let from = at + HEADER_BYTES;
            if self.end - from < length {
                return None;
            }
            parts.push(from..from + length);
            at = from + length;
            self.sequence = sequence.wrapping_add(1);
            if length < PART_BYTES {
                break;
            }
        }
        let from = self.start + HEADER_BYTES;
        let mut to = from;
        for part in parts {
            let length = part.len();
            self.buffer.copy_within(part, to);
            to += length;
        }
        self.start = at;
        Some(from..to)
    }

    #[inline]
    pub(super) fn bytes(&self, packet: Range<usize>) -> &[u8] {
        &self.buffer[packet]
    }

    /// Receives more. Can be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// Those of the stream; `UnexpectedEof` when it ended, `InvalidData` for a packet beyond all bounds.
    pub(super) async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        self.make_room()?;
        let received = stream.read(&mut self.buffer[self.end..]).await?;
        if received == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.end += received;
        Ok(())
    }

    /// Moves what is left to the front; the buffer grows only for a packet longer than itself.
    fn make_room(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            if self.buffer.len() >= self.most_bytes {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.buffer.resize(self.buffer.len() * 2, 0);
        } else if self.buffer.len() > BUFFER_BYTES && self.end < BUFFER_BYTES / 2 {
            self.buffer.truncate(BUFFER_BYTES);
            self.buffer.shrink_to_fit();
        }
        Ok(())
    }
}

#[inline]
fn length([b0, b1, b2]: [u8; 3]) -> usize {
    usize::from(b0) | usize::from(b1) << 8 | usize::from(b2) << 16
}

/// Puts a payload into packets, the first of this number.
pub(super) fn packed(payload: &[u8], mut sequence: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + HEADER_BYTES);
    let mut rest = payload;
    loop {
        let (part, after) = rest.split_at(rest.len().min(PART_BYTES));
        let [b0, b1, b2, ..] = part.len().to_le_bytes();
        out.extend([b0, b1, b2, sequence]);
        out.extend(part);
        sequence = sequence.wrapping_add(1);
        if part.len() < PART_BYTES {
            return out;
        }
        rest = after;
    }
}

/// Reads fields off the front of a payload; `None` when it is too short.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A length-encoded number; `None` also for the mark of NULL.
    #[inline]
    pub(super) fn number(&mut self) -> Option<u64> {
        match self.byte()? {
            short @ 0..=0xfa => Some(u64::from(short)),
            0xfc => self.array().map(|b| u64::from(u16::from_le_bytes(b))),
            0xfd => self.array::<3>().map(|b| length(b) as u64),
            0xfe => self.array().map(u64::from_le_bytes),
            _ => None,
        }
    }

    /// A length-encoded text.
    #[inline]
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.number()?).ok()?;
        self.take(count)
    }

    /// A field of a text row: `Some(None)` is NULL.
    pub(super) fn nullable_text(&mut self) -> Option<Option<&'a [u8]>> {
        if self.0.first() == Some(&0xfb) {
            self.0 = &self.0[1..];
            return Some(None);
        }
        self.text().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives the bytes in pieces of this size.
    async fn packets(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let (mut inbox, mut found) = (Inbox::new(), Vec::new());
        inbox.trust();
        for piece in bytes.chunks(piece) {
            let mut rest = piece;
            while !rest.is_empty() {
                inbox.fill(&mut rest).await.unwrap();
                while let Some(packet) = inbox.packet() {
                    found.push(inbox.bytes(packet).to_vec());
                }
            }
        }
        assert!(inbox.is_empty());
        found
    }

    #[tokio::test]
    async fn packets_are_the_same_however_they_are_cut() {
        let payloads = [vec![], vec![1], vec![7; 300], vec![9; 300_000]];
        let bytes: Vec<u8> = payloads.iter().flat_map(|p| packed(p, 0)).collect();
        for piece in [1, 3, 4, 1000, usize::MAX] {
            assert_eq!(packets(&bytes, piece).await, payloads, "pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn a_packet_of_many_parts_is_one() {
        for size in [PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 2 * PART_BYTES + 5] {
            let payload: Vec<u8> = (0..=250).cycle().take(size).collect();
            let mut bytes = packed(&payload, 0);
            bytes.extend(packed(b"after", 0));
            let found = packets(&bytes, 100_000).await;
            assert_eq!(found.len(), 2, "{size}");
            assert!(found[0] == payload && found[1] == b"after", "{size}");
        }
    }

    #[tokio::test]
    async fn a_stranger_s_endless_packet_is_refused() {
        let endless =
            [0xff, 0xff, 0xff, 0].into_iter().chain(std::iter::repeat_n(0, 1 << 20)).collect::<Vec<u8>>();
        let (mut inbox, mut rest) = (Inbox::new(), &endless[..]);
        let error = loop {
            match inbox.fill(&mut rest).await {
                Ok(()) => assert!(inbox.packet().is_none()),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn the_end_of_the_stream_is_an_error() {
        let error = Inbox::new().fill(&mut &b""[..]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn numbers_and_texts_are_read_in_every_length() {
        let mut fields =
            Fields(&[0xfa, 0xfc, 1, 2, 0xfd, 1, 2, 3, 0xfe, 1, 0, 0, 0, 0, 0, 0, 0, 2, b'h', b'i']);
        assert_eq!(fields.number(), Some(0xfa));
        assert_eq!(fields.number(), Some(0x0201));
        assert_eq!(fields.number(), Some(0x03_0201));
        assert_eq!(fields.number(), Some(1));
        assert_eq!(fields.text(), Some(&b"hi"[..]));
        assert_eq!(fields.byte(), None);
        assert_eq!(Fields(&[5, 1]).text(), None);
        assert_eq!(Fields(&[0xfb]).nullable_text(), Some(None));
    }
}
