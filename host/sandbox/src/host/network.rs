//! Sockets and names: there is no network in the sandbox, and whoever looks for one is told
//! so, and told on.

use super::{Ctx, Host};
use crate::meter::CallClass;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::IpAddress;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::TcpSocket;
use wasmtime_wasi::p2::bindings::sockets::udp::UdpSocket;
use wasmtime_wasi::p2::bindings::sockets::{ip_name_lookup, tcp_create_socket, udp_create_socket};
use wasmtime_wasi::p2::{DynPollable, SocketError, SocketResult};

type Lookup = Resource<ip_name_lookup::ResolveAddressStream>;

/// Puts it in the place of Wasmtime's: nothing that is a network's can be made.
pub(super) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    tcp_create_socket::add_to_linker::<_, Host>(linker, |ctx| ctx)?;
    udp_create_socket::add_to_linker::<_, Host>(linker, |ctx| ctx)?;
    ip_name_lookup::add_to_linker::<_, Host>(linker, |ctx| ctx)
}

impl Ctx {
    fn no_network<T>(&self, what: &str) -> SocketResult<T> {
        self.desk.meter.called(CallClass::Network);
        self.desk.meter.deny(what, None);
        Err(SocketError::from(ErrorCode::AccessDenied))
    }
}

impl network::Host for Ctx {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        _: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(None)
    }
}

impl network::HostNetwork for Ctx {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl tcp_create_socket::Host for Ctx {
    fn create_tcp_socket(&mut self, _: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        self.no_network("network: a TCP socket")
    }
}

impl udp_create_socket::Host for Ctx {
    async fn create_udp_socket(&mut self, _: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        self.no_network("network: a UDP socket")
    }
}

impl ip_name_lookup::Host for Ctx {
    fn resolve_addresses(&mut self, _: Resource<Network>, name: String) -> SocketResult<Lookup> {
        self.no_network(&format!("network: looking up {name:?}"))
    }
}

impl ip_name_lookup::HostResolveAddressStream for Ctx {
    fn resolve_next_address(&mut self, _: Lookup) -> SocketResult<Option<IpAddress>> {
        Err(SocketError::from(ErrorCode::AccessDenied))
    }

    fn subscribe(&mut self, _: Lookup) -> wasmtime::Result<Resource<DynPollable>> {
        // There is no such handle: none was ever made.
        Err(wasmtime::Error::msg("no name was looked up"))
    }

    fn drop(&mut self, _: Lookup) -> wasmtime::Result<()> {
        Ok(())
    }
}
