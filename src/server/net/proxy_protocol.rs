//! The PROXY protocol, version 2, of `HAProxy` (doc/proxy-protocol.txt): a balancer that
//! passes bytes on says first whose they are.
//!
//! Only the binary version is read. Its header is 16 bytes that say how long the rest is,
//! which takes less code than to gather what a parser's library wants in one piece.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The version with the command of a connection that the balancer makes for itself, and
/// with that of one that it passes on.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// The families with their transport.
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The longest rest that is read, in bytes: the addresses, and what a balancer says besides.
const MAX_REST: u16 = 4_096;

/// Reads the header of a connection, and nothing behind it. `None` if the balancer names no
/// client: it made the connection for itself, or does not know.
///
/// # Errors
///
/// If the connection begins with anything else, or ends before.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut signature = [0; SIGNATURE.len()];
    stream.read_exact(&mut signature).await?;
    if signature != SIGNATURE {
        return Err(wrong(
            "the peer does not speak version 2 of the PROXY protocol",
        ));
    }
    let command = stream.read_u8().await?;
    let family = stream.read_u8().await?;
    let length = stream.read_u16().await?;
    if length > MAX_REST {
        return Err(wrong("the header of the PROXY protocol is too long"));
    }
    let mut rest = stream.take(length.into());
    let client = match (command, family) {
        (LOCAL, _) | (PROXY, UNSPECIFIED) => None,
        (PROXY, TCP_OVER_IPV4) => {
            let [client, _server] = [rest.read_u32().await?, rest.read_u32().await?];
            let [port, _server] = [rest.read_u16().await?, rest.read_u16().await?];
            Some((Ipv4Addr::from_bits(client), port).into())
        }
        (PROXY, TCP_OVER_IPV6) => {
            let [client, _server] = [rest.read_u128().await?, rest.read_u128().await?];
            let [port, _server] = [rest.read_u16().await?, rest.read_u16().await?];
            Some((Ipv6Addr::from_bits(client), port).into())
        }
        _ => {
            return Err(wrong(
                "the header of the PROXY protocol has an unknown command or family",
            ));
        }
    };
    let length = rest.limit();
    let skipped = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    if skipped < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(client)
}

fn wrong(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with this command, family and rest.
    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    /// What is read of bytes, and what is left of them.
    async fn read_of(mut bytes: &[u8]) -> (Result<Option<String>, io::ErrorKind>, usize) {
        let client = read(&mut bytes).await;
        let client = client.map(|client| client.map(|client| client.to_string()));
        (client.map_err(|error| error.kind()), bytes.len())
    }

    #[tokio::test]
    async fn the_client_is_the_one_that_the_balancer_names() {
        let ipv4 = [203, 0, 113, 7, 10, 0, 0, 1, 0xc8, 0x22, 0xc3, 0x83];
        let mut bytes = header(PROXY, TCP_OVER_IPV4, &ipv4);
        bytes.extend(b"PRI");
        let client = Ok(Some("203.0.113.7:51234".to_owned()));
        assert_eq!(read_of(&bytes).await, (client.clone(), 3));
        let with_more = header(PROXY, TCP_OVER_IPV4, &[&ipv4[..], &[4; 1_000]].concat());
        assert_eq!(read_of(&with_more).await, (client, 0));

        let address: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let rest = [&address.octets()[..], &[0; 16], &[0xc8, 0x22, 0, 1]].concat();
        let client = Ok(Some("[2001:db8::7]:51234".to_owned()));
        assert_eq!(
            read_of(&header(PROXY, TCP_OVER_IPV6, &rest)).await,
            (client, 0)
        );
        for of_balancer in [
            header(LOCAL, UNSPECIFIED, &[]),
            header(LOCAL, TCP_OVER_IPV4, &ipv4),
            header(PROXY, UNSPECIFIED, &[1; 20]),
        ] {
            assert_eq!(read_of(&of_balancer).await, (Ok(None), 0));
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        use io::ErrorKind::{InvalidData, UnexpectedEof};
        let short = header(PROXY, TCP_OVER_IPV4, &[1; 11]);
        let whole = header(PROXY, TCP_OVER_IPV4, &[1; 12]);
        for (bytes, expected) in [
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n".to_vec(), InvalidData),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), InvalidData),
            (header(0x11, TCP_OVER_IPV4, &[1; 12]), InvalidData),
            (header(0x22, TCP_OVER_IPV4, &[1; 12]), InvalidData),
            (header(PROXY, 0x12, &[1; 12]), InvalidData),
            (header(PROXY, 0x31, &[1; 216]), InvalidData),
            (header(PROXY, TCP_OVER_IPV4, &[1; 5_000]), InvalidData),
            (short, UnexpectedEof),
            (Vec::new(), UnexpectedEof),
            (whole[..20].to_vec(), UnexpectedEof),
            (header(LOCAL, 0, &[1; 9])[..20].to_vec(), UnexpectedEof),
        ] {
            assert_eq!(read_of(&bytes).await.0, Err(expected), "{bytes:?}");
        }
    }
}
