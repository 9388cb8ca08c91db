//! What one connection is writing: whole frames, in as few vectored writes as possible.
//!
//! ```text
//! TCP        | frame | frame | frame |
//! WebSocket  | header | frame | frame |  | header | frame | ...       one binary message a group
//! ```
//!
//! The frames are shared with every other receiver; only WebSocket headers are this connection's
//! own, and they are made when their group reaches the front.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use super::outbox::Charge;
use crate::wire::Header;

/// Frames on their way to one socket.
#[derive(Debug)]
pub(super) struct Writer {
    framing: Framing,
    frames: VecDeque<Bytes>,
    /// Answers of the WebSocket layer, already framed by it. They go between groups.
    raw: BytesMut,
    /// The group that has begun to leave.
    begun: Option<Group>,
    /// What has left since the outbox was told.
    written: Charge,
    /// Bytes of frames that have left.
    total: u64,
    /// Frames at the front, up to the last answer.
    ahead: usize,
    /// Answers, which the outbox never charged, and which `written` counts once they have left.
    uncharged: Charge,
    /// Bytes that the socket took, whatever they were, and whole frames among them.
    taken: u64,
    frames_taken: u64,
}

/// How frames are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Back to back.
    Tcp,
    /// In binary WebSocket messages.
    WebSocket,
}

/// A WebSocket message, or on TCP one frame: what must leave whole once it has begun.
#[derive(Clone, Debug)]
struct Group {
    header: [u8; 4],
    /// The part of the header that is still to leave.
    header_left: std::ops::Range<usize>,
    /// Payload bytes still to leave.
    payload_left: usize,
}

/// A message from the server holds at most so much, unless one frame is larger (PROTOCOL 4.2).
const MESSAGE: usize = 16 * 1024;

/// Slices of one vectored write. 64: more than a tick needs; the kernel takes up to 1,024.
const SLICES: usize = 64;

impl Writer {
    pub(super) fn new(framing: Framing) -> Self {
        Self {
            framing,
            frames: VecDeque::new(),
            raw: BytesMut::new(),
            begun: None,
            written: Charge::default(),
            total: 0,
            ahead: 0,
            uncharged: Charge::default(),
            taken: 0,
            frames_taken: 0,
        }
    }

    /// Bytes that the socket took so far, and whole frames among them.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.taken, self.frames_taken)
    }

    pub(super) const fn framing(&self) -> Framing {
        self.framing
    }

    /// Where the outbox puts its frames; what of them has been written since the last call. Answers
    /// go first, so what was written is taken for theirs until it cannot be.
    pub(super) fn refill(&mut self) -> (Charge, &mut VecDeque<Bytes>) {
        let mut written = std::mem::take(&mut self.written);
        for (written, uncharged) in
            [(&mut written.bytes, &mut self.uncharged.bytes), (&mut written.frames, &mut self.uncharged.frames)]
        {
            let answers = (*written).min(*uncharged);
            *written -= answers;
            *uncharged -= answers;
        }
        (written, &mut self.frames)
    }

    /// Puts whole frames ahead, as one answer or, where they are too much for a message, as several.
    pub(super) fn push_answers(&mut self, mut frames: Bytes) {
        while frames.len() > MESSAGE {
            let len = whole_frames(&frames);
            self.push_answer(frames.split_to(len));
        }
        if !frames.is_empty() {
            self.push_answer(frames);
        }
    }

    /// Puts an answer ahead of what has not begun to leave, but behind earlier answers.
    pub(super) fn push_answer(&mut self, answer: Bytes) {
        let place = self.begun_frames().max(self.ahead);
        self.uncharged.bytes += answer.len();
        self.uncharged.frames += 1;
        self.frames.insert(place, answer);
        self.ahead = place + 1;
    }

    /// Puts an answer behind everything else.
    pub(super) fn push_behind(&mut self, answer: Bytes) {
        if !answer.is_empty() {
            self.uncharged.bytes += answer.len();
            self.uncharged.frames += 1;
            self.frames.push_back(answer);
        }
    }

    /// Puts a frame behind everything else.
    pub(super) fn push_last(&mut self, frame: Bytes) {
        self.frames.push_back(frame);
    }

    /// Bytes that are already framed for WebSocket.
    pub(super) fn push_raw(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
    }

    /// Whether answers of the WebSocket layer are still to leave.
    pub(super) fn has_raw(&self) -> bool {
        !self.raw.is_empty()
    }

    /// Bytes of answers that are still to leave, those of the WebSocket layer included.
    pub(super) fn answers_left(&self) -> usize {
        self.raw.len() + self.uncharged.bytes.saturating_sub(self.written.bytes)
    }

    /// Drops what has not begun to leave.
    pub(super) fn drop_queued(&mut self) {
        let begun = self.begun_frames();
        self.frames.truncate(begun);
        self.ahead = self.ahead.min(begun);
        // Answers of the WebSocket layer stay: one of them may be half out, and they are few.
    }

    /// Bytes of frames that have left: what the peer counts as sent (PROTOCOL 9).
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.raw.is_empty()
    }

    /// Writes until everything has left.
    pub(super) fn poll_write<T: AsyncWrite + Unpin>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = if self.begun.is_none() && !self.raw.is_empty() {
                let written = ready!(Pin::new(&mut *io).poll_write(cx, &self.raw))?;
                self.raw.advance(written);
                // Within a frame of the WebSocket layer no group may begin: the loop comes back here.
                written
            } else {
                // Room for many slices has to be made each time, and most ticks bring one frame.
                let written = match self.frames.len() {
                    0..=2 => ready!(self.poll_write_frames::<T, 4>(io, cx))?,
                    _ => ready!(self.poll_write_frames::<T, SLICES>(io, cx))?,
                };
                self.advance(written);
                written
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.taken += written as u64;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what fits so many slices.
    fn poll_write_frames<T: AsyncWrite + Unpin, const MOST: usize>(
        &self,
        io: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut headers = [[0; 4]; MOST];
        let mut slices = [IoSlice::new(&[]); MOST];
        let mut count = 0;
        let mut frames = self.frames.iter();
        let mut group = self.begun.clone();
        let mut headers = headers.iter_mut();
        let mut following = 0;
        'groups: while count < MOST {
            let current = match group.take() {
                Some(begun) => begun,
                None => match self.group_at(following) {
                    Some(next) => next,
                    None => break,
                },
            };
            if !current.header_left.is_empty() {
                let Some(place) = headers.next() else { break };
                *place = current.header;
                slices[count] = IoSlice::new(&place[current.header_left.clone()]);
                count += 1;
            }
            let mut left = current.payload_left;
            while left > 0 {
                if count == MOST {
                    break 'groups;
                }
                let Some(frame) = frames.next() else { break 'groups };
                slices[count] = IoSlice::new(frame);
                count += 1;
                following += 1;
                left = left.saturating_sub(frame.len());
            }
        }
        Pin::new(io).poll_write_vectored(cx, &slices[..count])
    }

    /// The group that begins with the frame at `index`. The same for the same frames, so that it
    /// need not be kept until it has begun to leave.
    fn group_at(&self, index: usize) -> Option<Group> {
        let mut frames = self.frames.range(index.min(self.frames.len())..);
        let first = frames.next()?.len();
        if self.framing == Framing::Tcp {
            return Some(Group { header: [0; 4], header_left: 0..0, payload_left: first });
        }
        let mut payload = first;
        for frame in frames {
            if payload + frame.len() > MESSAGE {
                break;
            }
            payload += frame.len();
        }
        let (header, len) = binary_header(payload);
        Some(Group { header, header_left: 0..len, payload_left: payload })
    }

    fn advance(&mut self, mut written: usize) {
        while written > 0 {
            let Some(mut group) = self.begun.take().or_else(|| self.group_at(0)) else { return };
            let header = written.min(group.header_left.len());
            group.header_left.start += header;
            written -= header;
            while written > 0
                && group.payload_left > 0
                && let Some(frame) = self.frames.front_mut()
            {
                let step = written.min(frame.len());
                written -= step;
                group.payload_left -= step;
                self.written.bytes += step;
                self.total += step as u64;
                if step == frame.len() {
                    self.frames.pop_front();
                    self.ahead = self.ahead.saturating_sub(1);
                    self.written.frames += 1;
                    self.frames_taken += 1;
                } else {
                    frame.advance(step);
                }
            }
            if group.payload_left > 0 || !group.header_left.is_empty() {
                self.begun = Some(group);
            }
        }
    }

    /// How many of the frames belong to the group that has begun to leave.
    fn begun_frames(&self) -> usize {
        let mut left = self.begun.as_ref().map_or(0, |group| group.payload_left);
        let belongs = |frame: &&Bytes| {
            let belongs = left > 0;
            left = left.saturating_sub(frame.len());
            belongs
        };
        self.frames.iter().take_while(belongs).count()
    }
}

/// Bytes of the frames at the front that fit a message; of the first one in any case.
fn whole_frames(frames: &[u8]) -> usize {
    let mut end = 0;
    while let Some([_, high, low, _]) = frames.get(end..).and_then(|rest| rest.first_chunk()) {
        let next = end + Header::LEN + usize::from(u16::from_be_bytes([*high, *low]));
        if end > 0 && next > MESSAGE {
            break;
        }
        end = next;
    }
    // What is not a frame goes as it is, so that it goes at all.
    if end == 0 { frames.len() } else { end.min(frames.len()) }
}

/// The header of an unmasked, final binary message (RFC 6455, section 5.2).
fn binary_header(payload: usize) -> ([u8; 4], usize) {
    const FINAL_BINARY: u8 = 0x82;
    match u8::try_from(payload) {
        Ok(short @ 0..=125) => ([FINAL_BINARY, short, 0, 0], 2),
        _ => {
            let [high, low] = u16::try_from(payload).expect("a group is below 64 KiB").to_be_bytes();
            ([FINAL_BINARY, 126, high, low], 4)
        }
    }
}

/// A close frame of the WebSocket layer. Without a code it is empty, as RFC 6455 (5.5.1) has it.
pub(super) fn close_frame(code: Option<u16>, text: &str) -> Vec<u8> {
    const FINAL_CLOSE: u8 = 0x88;
    let Some(code) = code else { return vec![FINAL_CLOSE, 0] };
    // RFC 6455 5.5: control frames carry at most 125 bytes; our sentences are ASCII.
    let text = text.get(..text.len().min(123)).unwrap_or_default();
    let len = u8::try_from(2 + text.len()).expect("at most 125");
    let mut frame = vec![FINAL_CLOSE, len];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(text.as_bytes());
    frame
}

#[cfg(test)]
mod tests;
