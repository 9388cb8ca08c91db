use std::task::Waker;

use super::*;

/// Takes at most so many bytes a write.
struct Narrow {
    step: usize,
    taken: Vec<u8>,
}

impl AsyncWrite for Narrow {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let step = self.step.min(bytes.len());
        self.taken.extend_from_slice(&bytes[..step]);
        Poll::Ready(Ok(step))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = slices.iter().flat_map(|slice| slice.iter().copied());
        let before = self.taken.len();
        let step = self.step;
        self.taken.extend(all.take(step));
        Poll::Ready(Ok(self.taken.len() - before))
    }
}

fn written(framing: Framing, frames: &[usize], step: usize) -> (Vec<u8>, Charge) {
    let mut writer = Writer::new(framing);
    for (number, len) in frames.iter().enumerate() {
        writer.frames.push_back(vec![u8::try_from(number % 251).unwrap(); *len].into());
    }
    let mut io = Narrow { step, taken: Vec::new() };
    let mut cx = Context::from_waker(Waker::noop());
    assert!(writer.poll_write(&mut io, &mut cx).is_ready());
    (io.taken, writer.written)
}

/// The messages of a WebSocket stream.
fn messages(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let [0x82, len, rest @ ..] = bytes {
        let (len, rest) = match len {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            len => (usize::from(*len), rest),
        };
        messages.push(rest[..len].to_vec());
        bytes = &rest[len..];
    }
    assert!(bytes.is_empty());
    messages
}

#[test]
fn whatever_the_socket_takes_the_stream_is_the_same() {
    let frames = [3, 200, 16_388, 9_000, 9_000, 1, 1, 16_000, 400];
    let total: usize = frames.iter().sum();
    let (whole, _) = written(Framing::WebSocket, &frames, usize::MAX);
    let (plain, _) = written(Framing::Tcp, &frames, usize::MAX);
    assert_eq!(plain.len(), total);
    assert_eq!(messages(&whole).concat(), plain);
    assert_eq!(messages(&whole).len(), 6);
    for step in [1, 2, 3, 5, 1000, 16_390] {
        for (framing, expected) in [(Framing::WebSocket, &whole), (Framing::Tcp, &plain)] {
            let (taken, charge) = written(framing, &frames, step);
            assert!(taken == *expected, "{framing:?} {step}");
            assert_eq!(charge, Charge { bytes: total, frames: frames.len() });
        }
    }
}

#[test]
fn answers_leave_in_their_order_ahead_of_what_is_queued_and_are_not_charged() {
    for framing in [Framing::Tcp, Framing::WebSocket] {
        let mut writer = Writer::new(framing);
        writer.refill().1.extend([Bytes::from(vec![1; 9000]), vec![2; 9000].into()]);
        let mut cx = Context::from_waker(Waker::noop());
        // The first frame has begun to leave when the answers come.
        writer.advance(10);
        writer.push_answer(vec![3; 5].into());
        writer.push_answer(vec![4; 5].into());
        let begun = writer.frames.front().map_or(0, Bytes::len);
        let mut io = Narrow { step: begun, taken: Vec::new() };
        assert!(writer.poll_write(&mut io, &mut cx).is_ready());
        let mut order = io.taken.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect::<Vec<_>>();
        order.retain(|(byte, _)| (1..=4).contains(byte));
        order.dedup_by_key(|(byte, _)| *byte);
        assert!(order.iter().map(|(byte, _)| *byte).eq([1, 3, 4, 2]), "{order:?}");
        assert_eq!(writer.refill().0, Charge { bytes: 18_000, frames: 2 });
    }
}

#[test]
fn many_frames_leave_in_several_writes() {
    let frames = [5; 1000];
    let (whole, charge) = written(Framing::WebSocket, &frames, usize::MAX);
    assert_eq!(messages(&whole).concat().len(), 5000);
    assert_eq!(charge.frames, 1000);
}

#[test]
fn answers_of_the_websocket_layer_never_split_a_message() {
    let mut writer = Writer::new(Framing::WebSocket);
    writer.frames.push_back(vec![7; 300].into());
    writer.frames.push_back(vec![8; 300].into());
    writer.frames.push_back(vec![9; 16_000].into());
    // The first message has begun.
    writer.advance(10);
    writer.push_raw(&[0x8a, 0]);
    writer.push_answer(vec![1; 4].into());
    // Six divides what is left of the first message, so the answer can go right behind it.
    let mut io = Narrow { step: 6, taken: vec![0x82, 126, 2, 88] };
    io.taken.extend([7; 6]);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(writer.poll_write(&mut io, &mut cx).is_ready());
    let first = 4 + 600;
    assert_eq!(io.taken[first..first + 2], [0x8a, 0]);
    let rest = messages(&io.taken[first + 2..]);
    assert_eq!(rest[0][..4], [1; 4]);
    // What has begun is finished, the rest is dropped.
    let mut writer = Writer::new(Framing::WebSocket);
    writer.frames.extend([Bytes::from(vec![7; 300]), vec![8; 16_200].into()]);
    writer.advance(10);
    writer.drop_queued();
    assert_eq!(writer.frames.len(), 1);
}
