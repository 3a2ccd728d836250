//! `rookery-loadtest floor-server`: what the kernel alone asks for a fan-out.
//!
//! One thread and no runtime. It accepts so many sockets and then only writes: for each flush that it is told to make,
//! one buffer of whole WebSocket frames, made once, to every socket in turn. It parses nothing, allocates nothing and
//! has its sockets in no epoll. Orders come on the standard input, a byte each; answers go to the standard output.

use super::{
    LISTENING,
    child::{Lines, READY, listening},
    cores::Cores,
    world::World,
};
use crate::{client::frame::TEXT, report::Watched};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use std::{
    fs::File,
    io::{self, ErrorKind, Read as _, Write as _, stdin, stdout},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Stdio,
    rc::Rc,
    thread::sleep,
    time::{Duration, Instant},
};
use tokio::{process::Child, time::timeout};

/// The order to write the buffer to every socket.
const FLUSH: u8 = b'f';

/// The order to tell what was written so far.
const TELL: u8 = b't';

/// What stands around the content of a frame.
const AROUND: [&str; 2] = ["{\"type\":\"new_message\",\"data\":{\"content\":\"", "\"}}"];

/// What is written to a socket at once.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Buffer {
    /// Frames in a write.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) frames: u16,
    /// Bytes of a message's frame, without the few of the WebSocket's own, which are written as well.
    #[arg(long, default_value_t = 230, value_parser = clap::value_parser!(u16).range(126..))]
    pub(crate) frame_bytes: u16,
}

impl Buffer {
    /// The bytes: frames as a server sends them.
    fn bytes(self) -> Vec<u8> {
        // From 126 bytes on, the length takes the two that follow.
        let mut frame = vec![0x80 | TEXT, 126];
        frame.extend(self.frame_bytes.to_be_bytes());
        let content = usize::from(self.frame_bytes) - AROUND[0].len() - AROUND[1].len();
        frame.extend_from_slice(AROUND[0].as_bytes());
        frame.resize(frame.len() + content, b'x');
        frame.extend_from_slice(AROUND[1].as_bytes());
        frame.repeat(self.frames.into())
    }
}

/// A server that only writes.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    world: World,
    #[command(flatten)]
    buffer: Buffer,
}

/// What was written so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Calls that wrote something.
    pub(crate) writes: u64,
    /// Calls that had to wait, as a socket's buffer was full.
    pub(crate) waits: u64,
}

impl Tally {
    fn line(self) -> String {
        format!("{} {}", self.writes, self.waits)
    }

    fn read(line: &str) -> Option<Self> {
        let (writes, waits) = line.split_once(' ')?;
        Some(Self { writes: writes.parse().ok()?, waits: waits.parse().ok()? })
    }

    /// Writes everything to a socket that does not block, with one call if the socket takes it.
    fn send(&mut self, mut socket: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match socket.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.writes += 1;
                    bytes = &bytes[count..];
                }
                // The clients read whatever is written elsewhere, so one socket may be waited for: the kernel does.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.waits += 1;
                    socket.set_nonblocking(false)?;
                    let written = socket.write_all(bytes);
                    socket.set_nonblocking(true)?;
                    self.writes += 1;
                    return written;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Runs the server until its standard input ends, as it does when whoever started it ends.
pub(crate) fn run(options: &Options) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening on 127.0.0.1")?;
    writeln!(stdout().lock(), "{LISTENING}{}", listener.local_addr()?)?;
    let sockets = accept(&listener, options.world.members)?;
    let (bytes, mut tally) = (options.buffer.bytes(), Tally::default());
    let (mut input, mut orders) = (stdin().lock(), [0; 16]);
    loop {
        let count = input.read(&mut orders)?;
        for order in &orders[..count] {
            if *order == TELL {
                writeln!(stdout().lock(), "{}", tally.line())?;
                continue;
            }
            for socket in &sockets {
                tally.send(socket, &bytes).context("a client is gone")?;
            }
        }
        if count == 0 {
            return Ok(());
        }
    }
}

/// Accepts so many sockets. Gives up when they do not come: then there is nobody to write to.
fn accept(listener: &TcpListener, count: u32) -> Result<Vec<TcpStream>> {
    listener.set_nonblocking(true)?;
    let (mut sockets, mut last) = (Vec::new(), Instant::now());
    for _ in 0..count {
        let socket = loop {
            match listener.accept() {
                Ok((socket, _)) => break socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if last.elapsed() > READY {
                        bail!("{} of {count} clients came", sockets.len());
                    }
                    sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(error).context("accepting a client"),
            }
        };
        last = Instant::now();
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        sockets.push(socket);
    }
    Ok(sockets)
}

/// A server that was started. Ends when dropped.
pub(crate) struct Floor {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The server, and this process.
    pub(crate) watched: [Watched; 2],
    orders: Rc<File>,
    answers: Lines,
    _child: Child,
}

impl Floor {
    /// Starts it.
    pub(crate) async fn start(cores: &Cores, world: World, buffer: Buffer) -> Result<Self> {
        let mut command = cores.this_program()?;
        command.args(["floor-server", "--members", &world.members.to_string()]);
        command.args(["--frames", &buffer.frames.to_string(), "--frame-bytes", &buffer.frame_bytes.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("starting the floor-server")?;
        let pid = child.id().context("the floor-server has ended")?;
        let input = child.stdin.take().context("the floor-server's input")?.into_owned_fd()?;
        let (address, answers) = listening(&mut child).await?;
        let watched = [Watched { name: "floor".to_owned(), pid }, Watched::own()];
        Ok(Self { address, watched, orders: Rc::new(input.into()), answers, _child: child })
    }

    /// Gives what orders a flush. Few are under way, so that the pipe always has room for one more.
    pub(crate) fn flusher(&self) -> impl Fn() -> io::Result<()> + use<> {
        let orders = self.orders.clone();
        move || (&*orders).write_all(&[FLUSH])
    }

    /// Asks what was written so far.
    pub(crate) async fn tally(&mut self) -> Result<Tally> {
        (&*self.orders).write_all(&[TELL])?;
        let line = timeout(READY, self.answers.next_line()).await.context("the floor-server does not answer")??;
        line.as_deref().and_then(Tally::read).context("the floor-server's answer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{frame::whole_frames, text};
    use std::thread;

    #[test]
    fn the_buffer_holds_whole_messages_with_their_websocket_heads() {
        let bytes = Buffer { frames: 16, frame_bytes: 230 }.bytes();
        assert_eq!(bytes.len(), 16 * 234);
        let mut count = 0;
        let used = whole_frames(&bytes, |frame| {
            assert!(frame.opcode == TEXT && frame.payload.len() == 230 && text::is_message(frame.payload));
            count += 1;
        });
        assert_eq!((used, count), (Ok(bytes.len()), 16));
        assert_eq!(Buffer { frames: 1, frame_bytes: 126 }.bytes().len(), 130);
    }

    #[test]
    fn everything_reaches_a_socket_that_has_to_be_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("its address")).expect("connected");
        let server = accept(&listener, 1).expect("accepted").remove(0);
        let bytes = vec![b'x'; 32 * 1024 * 1024];
        let reader = thread::spawn(move || io::copy(&mut client, &mut io::sink()));
        let mut tally = Tally::default();
        tally.send(&server, &bytes).expect("sent");
        drop(server);
        assert_eq!(reader.join().expect("no panic").expect("read"), bytes.len() as u64);
        assert_eq!(Tally::read(&tally.line()), Some(tally));
        assert!(tally.writes > 0);
    }
}
