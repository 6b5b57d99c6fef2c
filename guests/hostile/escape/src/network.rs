//! Sockets and names, asked of the host directly: not every C library for WASI has them.
//! A refusal by the host is no answer from the network, so whatever an address itself
//! replied with counts as got.

use crate::report::Report;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::{IpAddress, resolve_addresses};
use wasip2::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, Network,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp::{OutgoingDatagram, UdpSocket};
use wasip2::sockets::udp_create_socket::create_udp_socket;

/// Places a guest would like to talk to: this machine, the world, a cloud's metadata.
const ADDRESSES: [SocketAddr; 4] = [
    v4([127, 0, 0, 1], 1),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 1),
    v4([1, 1, 1, 1], 80),
    v4([169, 254, 169, 254], 80),
];

pub fn try_all(report: &mut Report) {
    let network = instance_network();
    for address in ADDRESSES {
        let outcome = connect(&network, wasi(address));
        judge(report, &format!("connect to {address}"), outcome);
        let outcome = send(&network, wasi(address));
        judge(report, &format!("send to {address}"), outcome);
    }
    for address in [v4([127, 0, 0, 1], 0), v4([0, 0, 0, 0], 0)] {
        let outcome = listen(&network, wasi(address));
        judge(report, &format!("listen on {address}"), outcome);
    }
    for name in ["localhost", "example.com"] {
        let outcome = look_up(&network, name).map(drop);
        judge(report, &format!("look up {name}"), outcome);
    }
}

const fn v4([a, b, c, d]: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

/// The address as WASI spells it.
fn wasi(address: SocketAddr) -> IpSocketAddress {
    let port = address.port();
    match address.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            let address = (a, b, c, d);
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address })
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, h] = ip.segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port,
                flow_info: 0,
                address: (a, b, c, d, e, f, g, h),
                scope_id: 0,
            })
        }
    }
}

fn connect(network: &Network, address: IpSocketAddress) -> Result<(), ErrorCode> {
    let socket = tcp(address)?;
    socket.start_connect(network, address)?;
    socket.subscribe().block();
    socket.finish_connect().map(drop)
}

fn listen(network: &Network, address: IpSocketAddress) -> Result<(), ErrorCode> {
    let socket = tcp(address)?;
    socket.start_bind(network, address)?;
    socket.subscribe().block();
    socket.finish_bind()?;
    socket.start_listen()?;
    socket.subscribe().block();
    socket.finish_listen()
}

fn tcp(address: IpSocketAddress) -> Result<TcpSocket, ErrorCode> {
    create_tcp_socket(family(address))
}

fn send(network: &Network, address: IpSocketAddress) -> Result<(), ErrorCode> {
    let socket: UdpSocket = create_udp_socket(family(address))?;
    let anywhere = match address {
        IpSocketAddress::Ipv4(_) => wasi(v4([0, 0, 0, 0], 0)),
        IpSocketAddress::Ipv6(_) => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port: 0,
            flow_info: 0,
            address: (0, 0, 0, 0, 0, 0, 0, 0),
            scope_id: 0,
        }),
    };
    socket.start_bind(network, anywhere)?;
    socket.subscribe().block();
    socket.finish_bind()?;
    let (_, outgoing) = socket.stream(Some(address))?;
    outgoing.subscribe().block();
    outgoing.check_send()?;
    let datagram = OutgoingDatagram {
        data: b"escape".to_vec(),
        remote_address: None,
    };
    outgoing.send(&[datagram]).map(drop)
}

fn look_up(network: &Network, name: &str) -> Result<Option<IpAddress>, ErrorCode> {
    let answers = resolve_addresses(network, name)?;
    answers.subscribe().block();
    answers.resolve_next_address()
}

fn family(address: IpSocketAddress) -> IpAddressFamily {
    match address {
        IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
        IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
    }
}

fn judge(report: &mut Report, attempt: &str, outcome: Result<(), ErrorCode>) {
    match outcome {
        Err(
            // The last is what Wasmtime says when names may not be looked up; a name that
            // was looked up in vain is `NameUnresolvable`.
            ErrorCode::AccessDenied | ErrorCode::NotSupported | ErrorCode::PermanentResolverFailure,
        ) => report.refused(attempt, outcome, |()| String::new()),
        Err(e) => report.got(attempt, format_args!("an answer ({e:?})")),
        Ok(()) => report.got(attempt, "through"),
    }
}
