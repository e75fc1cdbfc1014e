//! A container's network: pairs of virtual interfaces, one end on a bridge of the world, one in the container.
//!
//! The bridge `lxcbr0` (10.0.3.1/24) is made when the first container wants it. A container on it that is configured without an
//! address gets one that it keeps as long as the world lives, as LXC's own DHCP server would give it, and a route
//! through the bridge. Whether the world may make interfaces is up to its kernel; when it may not, the start fails and says so.
//!
//! Source: lxc.container.conf(5) "NETWORK", veth(4), rtnetlink(7).

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use futures::TryStreamExt;
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder, new_connection};

use super::super::spec::{Net, Spec};
use super::store::runtime_dir;
use super::{Doing, Error, sys};

/// LXC's own bridge.
const BRIDGE: &str = "lxcbr0";
/// Its address.
const BRIDGE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 1);
/// The bits of its network.
const BRIDGE_BITS: u8 = 24;
/// The first and the last address for containers: 10.0.3.10 to 10.0.3.254.
const FIRST: u8 = 10;
const LAST: u8 = 254;

/// Gives each interface on [`BRIDGE`] that has no address one of its own, and the bridge as its gateway.
///
/// # Errors
/// When the addresses are used up or cannot be noted down.
pub fn assign(spec: &mut Spec) -> Result<(), Error> {
    let name = spec.name.clone();
    for (number, net) in &mut spec.net {
        if net.kind == "veth" && net.ipv4.is_empty() && net.link.as_deref().unwrap_or(BRIDGE) == BRIDGE {
            let address = lease(&format!("{name}.{number}"))?;
            net.ipv4 = vec![format!("{address}/{BRIDGE_BITS}")];
            net.gateway.get_or_insert_with(|| BRIDGE_ADDRESS.to_string());
        }
    }
    Ok(())
}

/// The address noted down for an interface, or a free one, noted down now.
fn lease(who: &str) -> Result<Ipv4Addr, Error> {
    let folder = runtime_dir().join("addresses");
    fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
    let [a, b, c, _] = BRIDGE_ADDRESS.octets();
    for last in FIRST..=LAST {
        let address = Ipv4Addr::new(a, b, c, last);
        let path = folder.join(address.to_string());
        match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                io::Write::write_all(&mut file, who.as_bytes()).doing(|| format!("write {}", path.display()))?;
                return Ok(address);
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                if fs::read(&path).is_ok_and(|owner| owner == who.as_bytes()) {
                    return Ok(address);
                }
            }
            Err(e) => return Err(e).doing(|| format!("make {}", path.display())),
        }
    }
    Err(Error::said(format!("every address from 10.0.3.{FIRST} to 10.0.3.{LAST} is taken; set lxc.net.0.ipv4.address")))
}

fn virtual_ones(spec: &Spec) -> impl Iterator<Item = (u32, &Net)> {
    spec.net.iter().filter(|(_, net)| net.kind == "veth").map(|(number, net)| (*number, net))
}

/// What the inner end is called until it is renamed inside.
fn arriving(number: u32) -> String {
    format!("lxc-new{number}")
}

fn inner_name(number: u32, net: &Net) -> String {
    net.name.clone().unwrap_or_else(|| format!("eth{number}"))
}

/// Makes the outer part, before pid 1 begins: for each `veth` a pair, its inner end with the process `holder`. Gives the names
/// of the outer ends.
///
/// # Errors
/// When the world's network does not allow it, with the interface's number.
pub fn outside(spec: &Spec, holder: i32) -> Result<Vec<String>, Error> {
    if virtual_ones(spec).next().is_none() {
        return Ok(Vec::new());
    }
    talk(async |handle| {
        let mut links = Vec::new();
        for (number, net) in virtual_ones(spec) {
            let outer = net.pair.clone().unwrap_or_else(|| format!("veth{holder}.{number}"));
            let made = pair(&handle, number, net, &outer, holder).await;
            made.map_err(|e| Error::said(format!("lxc.net.{number}: cannot make the pair {outer}: {e}")))?;
            links.push(outer);
        }
        Ok(links)
    })
}

async fn pair(handle: &Handle, number: u32, net: &Net, outer: &str, holder: i32) -> Result<(), String> {
    let words = |e: rtnetlink::Error| e.to_string();
    let bridge = bridge(handle, net.link.as_deref().unwrap_or(BRIDGE)).await?;
    let arriving = arriving(number);
    handle.link().add(LinkVeth::new(outer, &arriving).build()).execute().await.map_err(words)?;
    let (out, into) = (index(handle, outer).await?, index(handle, &arriving).await?);
    let on_bridge = LinkUnspec::new_with_index(out).controller(bridge).up().build();
    handle.link().set(on_bridge).execute().await.map_err(words)?;
    let moved = LinkUnspec::new_with_index(into).setns_by_pid(holder.unsigned_abs()).build();
    handle.link().set(moved).execute().await.map_err(words)
}

/// The bridge's index; LXC's own is made if it is not there.
async fn bridge(handle: &Handle, name: &str) -> Result<u32, String> {
    if let Ok(there) = index(handle, name).await {
        return Ok(there);
    }
    if name != BRIDGE {
        return Err(format!("there is no bridge {name} (ip link add {name} type bridge makes one)"));
    }
    let words = |e: rtnetlink::Error| e.to_string();
    handle.link().add(LinkBridge::new(name).build()).execute().await.map_err(words)?;
    let made = index(handle, name).await?;
    handle.address().add(made, IpAddr::V4(BRIDGE_ADDRESS), BRIDGE_BITS).execute().await.map_err(words)?;
    handle.link().set(LinkUnspec::new_with_index(made).up().build()).execute().await.map_err(words)?;
    Ok(made)
}

async fn index(handle: &Handle, name: &str) -> Result<u32, String> {
    let found: Option<LinkMessage> =
        handle.link().get().match_name(name.to_string()).execute().try_next().await.map_err(|e| e.to_string())?;
    found.map(|link| link.header.index).ok_or_else(|| format!("no interface {name}"))
}

/// Makes the inner part, as pid 1: loopback up, interfaces named, addressed and up.
///
/// # Errors
/// When the kernel refuses, with the interface's number.
pub fn inside(spec: &Spec) -> Result<(), Error> {
    if spec.shares_network() {
        return Ok(());
    }
    sys::interface_up("lo").doing(|| "bring lo up")?;
    if virtual_ones(spec).next().is_none() {
        return Ok(());
    }
    talk(async |handle| {
        for (number, net) in virtual_ones(spec) {
            let done = furnish(&handle, &spec.name, number, net).await;
            done.map_err(|e| Error::said(format!("lxc.net.{number}: {e}")))?;
        }
        Ok(())
    })
}

async fn furnish(handle: &Handle, who: &str, number: u32, net: &Net) -> Result<(), String> {
    let words = |e: rtnetlink::Error| e.to_string();
    let index = index(handle, &arriving(number)).await?;
    let mut link = LinkUnspec::new_with_index(index).name(inner_name(number, net));
    if let Some(hardware) = &net.hwaddr {
        link = link.address(hardware_address(hardware, who)?);
    }
    if let Some(mtu) = net.mtu {
        link = link.mtu(mtu);
    }
    handle.link().set(link.build()).execute().await.map_err(words)?;
    for text in net.ipv4.iter().chain(&net.ipv6) {
        let (address, bits) = address(text)?;
        handle.address().add(index, address, bits).execute().await.map_err(words)?;
    }
    handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.map_err(words)?;
    match net.gateway.as_deref().map(|g| if g == "auto" { Ok(BRIDGE_ADDRESS) } else { g.parse() }) {
        None => Ok(()),
        Some(Err(_)) => Err(format!("ipv4.gateway: `{}` is not an address", net.gateway.as_deref().unwrap_or(""))),
        Some(Ok(gateway)) => {
            let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).build();
            handle.route().add(route).execute().await.map_err(words)
        }
    }
}

/// `10.0.3.5/24`; without bits the address alone.
fn address(text: &str) -> Result<(IpAddr, u8), String> {
    let wrong = || format!("`{text}` is not an address like 10.0.3.5/24");
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(most), |b| b.parse().map_err(|_| wrong()))?;
    if bits <= most { Ok((address, bits)) } else { Err(wrong()) }
}

/// `00:16:3e:xx:xx:01`; each `x` is a digit that we choose, always the same for the same container.
fn hardware_address(text: &str, who: &str) -> Result<Vec<u8>, String> {
    let seed = xxhash_rust::xxh64::xxh64(who.as_bytes(), 0).to_le_bytes();
    let byte = |(at, part): (usize, &str)| {
        let chosen = format!("{:02x}", seed[at % seed.len()]);
        let digits: String = part.chars().zip(chosen.chars()).map(|(c, own)| if c == 'x' { own } else { c }).collect();
        u8::from_str_radix(&digits, 16).ok().filter(|_| part.len() == 2)
    };
    let bytes: Option<Vec<u8>> = text.split(':').enumerate().map(byte).collect();
    bytes.filter(|b| b.len() == 6).ok_or_else(|| format!("hwaddr: `{text}` is not an address like 00:16:3e:00:00:01"))
}

/// Runs a conversation with the kernel on a runtime that lives no longer than it.
fn talk<T>(conversation: impl AsyncFnOnce(Handle) -> Result<T, Error>) -> Result<T, Error> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().doing(|| "begin to talk netlink")?;
    runtime.block_on(async {
        let (connection, handle, _) = new_connection().doing(|| "open a netlink socket")?;
        let talking = tokio::spawn(connection);
        let result = conversation(handle).await;
        talking.abort();
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses of both kinds, and nonsense refused with an example.
    #[test]
    fn addresses() {
        assert_eq!(address("10.0.3.5/24"), Ok((IpAddr::V4(Ipv4Addr::new(10, 0, 3, 5)), 24)));
        assert_eq!(address("fd00::5").unwrap().1, 128);
        assert!(address("10.0.3.5/33").is_err() && address("ten").unwrap_err().contains("10.0.3.5/24"));
        assert_eq!(hardware_address("00:16:3e:00:00:01", "c1"), Ok(vec![0, 0x16, 0x3e, 0, 0, 1]));
        assert_eq!(hardware_address("00:16:3e:xx:xx:01", "c1").unwrap().len(), 6);
        assert_ne!(hardware_address("00:16:3e:xx:xx:xx", "c1"), hardware_address("00:16:3e:xx:xx:xx", "c2"));
        assert!(hardware_address("00:16", "c1").is_err());
    }
}
