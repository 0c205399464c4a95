//! A transparent proxy like the sidecar of a service mesh: it accepts connections that iptables has
//! redirected to its port, and forwards the bytes to their original destinations.

use std::io::{Error, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::thread;

use nix::sys::socket::{getsockopt, sockopt::OriginalDst};

/// Serves on the port in `value` until the process is killed.
pub(crate) fn serve(value: &[u8]) -> std::io::Result<()> {
    let port = str::from_utf8(value).ok().and_then(|port| port.parse().ok());
    let port: u16 = port.ok_or_else(|| Error::other("the port is not a number"))?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    for client in listener.incoming() {
        let client = client?;
        // A failed connection is closed, as the client would see it without a proxy.
        thread::spawn(move || forward(client));
    }
    Ok(())
}

fn forward(client: TcpStream) -> std::io::Result<()> {
    let destination = getsockopt(&client, OriginalDst)?;
    let address = Ipv4Addr::from(u32::from_be(destination.sin_addr.s_addr));
    let server = TcpStream::connect(SocketAddrV4::new(address, u16::from_be(destination.sin_port)))?;
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    let requests = thread::spawn(move || copy(from, to));
    copy(server, client)?;
    requests.join().unwrap_or_else(|_| Err(Error::other("a thread of the proxy has panicked")))
}

fn copy(mut from: TcpStream, mut to: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return to.shutdown(Shutdown::Write),
            read => to.write_all(buffer.get(..read).unwrap_or_default())?,
        }
    }
}
