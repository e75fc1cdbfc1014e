//! The world's network: its private loopback, up, with one address for each machine.

use std::net::Ipv4Addr;

use futures::TryStreamExt;
use rtnetlink::{LinkUnspec, new_connection};

use super::{Result, While, machines};

/// Brings the loopback up and gives it the machines' addresses. Needs a tokio runtime and CAP_NET_ADMIN over the
/// network namespace.
///
/// # Errors
/// If the kernel refuses.
pub async fn bring_up() -> Result<()> {
    let (connection, handle, _) = new_connection().when(|| "opening a netlink socket")?;
    let talking = tokio::spawn(connection);
    let lo = handle
        .link()
        .get()
        .match_name(String::from("lo"))
        .execute()
        .try_next()
        .await
        .when(|| "finding the loopback")?;
    let index = lo.map_or(1, |link| link.header.index);
    let up = LinkUnspec::new_with_index(index).up().build();
    handle.link().set(up).execute().await.when(|| "bringing the loopback up")?;
    let all: Vec<Ipv4Addr> = machines::all().map(|(_, address)| address).chain([machines::switch()]).collect();
    for address in all {
        let add = handle.address().add(index, address.into(), 32).replace();
        add.execute().await.when(|| format!("adding {address} to the loopback"))?;
    }
    talking.abort();
    Ok(())
}
