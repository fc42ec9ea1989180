//! Tests networks on this host, or prints why there can be none.

use super::*;
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

/// Returns two sites, or `None` where the host does not allow them. Prints that, because the tests then do not show the
/// kernel's part.
fn two_sites() -> Option<(Network, Site, Site)> {
    let made = Network::new().and_then(|mut network| {
        let (west, east) = (network.site("west")?, network.site("east")?);
        Ok((network, west, east))
    });
    match made {
        Ok(made) => Some(made),
        Err(reason) => {
            // Not `eprintln`, which the test runner would capture.
            let _ = writeln!(io::stderr(), "[drill] NO NETWORK NAMESPACES here: {reason}");
            let not_root = matches!(reason, Unavailable::NotRoot { .. });
            assert_eq!(not_root, !rustix::process::geteuid().is_root(), "{reason}");
            None
        }
    }
}

/// Echoes bytes in a site, on every connection, until the test's process ends.
fn serve_echo(site: &Site) -> u16 {
    let listener = site.within(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))).unwrap().unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || io::copy(&mut stream.try_clone().unwrap(), &mut { stream }));
        }
    });
    port
}

fn connect(from: &Site, to: SocketAddr) -> TcpStream {
    let stream = from.within(|| TcpStream::connect_timeout(&to, Duration::from_secs(10))).unwrap().unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends and receives this many bytes, and returns the duration.
fn echoed(stream: &TcpStream, bytes: usize, timeout: Duration) -> io::Result<Duration> {
    let begun = Instant::now();
    stream.set_read_timeout(Some(timeout))?;
    let (mut writer, mut reader) = (stream.try_clone()?, stream.try_clone()?);
    let sender = thread::spawn(move || writer.write_all(&vec![7; bytes]));
    let mut back = vec![0; bytes];
    reader.read_exact(&mut back)?;
    sender.join().unwrap()?;
    Ok(begun.elapsed())
}

const TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn sites_reach_each_other_except_while_partitioned() {
    let Some((_network, west, east)) = two_sites() else { return };
    let port = serve_echo(&east);
    let between = connect(&west, (east.address(), port).into());
    echoed(&between, 1_000, TIMEOUT).unwrap();
    let beside = TcpStream::connect((east.access_address(), port)).unwrap();
    echoed(&beside, 1_000, TIMEOUT).unwrap();
    let reached_by_us = TcpStream::connect_timeout(&(east.address(), port).into(), Duration::from_millis(200));
    assert!(reached_by_us.is_err(), "trunks are for sites");

    east.partition().unwrap();
    let partitioned = echoed(&between, 10, Duration::from_millis(300)).unwrap_err();
    assert!(
        matches!(partitioned.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        "neither end is notified: {partitioned}"
    );
    echoed(&beside, 1_000, TIMEOUT).unwrap();

    east.join().unwrap();
    // Bytes sent in the meantime arrive first.
    let mut late = [0; 10];
    between.set_read_timeout(Some(TIMEOUT)).unwrap();
    (&between).read_exact(&mut late).unwrap();
}

#[test]
fn a_narrow_trunk_has_its_bandwidth_and_access_is_unaffected() {
    let Some((_network, west, east)) = two_sites() else { return };
    let port = serve_echo(&east);
    let between = connect(&west, (east.address(), port).into());
    echoed(&between, 1_000, TIMEOUT).unwrap();
    west.narrow(NonZeroU32::new(500_000)).unwrap();
    let narrow = echoed(&between, 500_000, TIMEOUT).unwrap();
    assert!(narrow >= Duration::from_millis(600), "500 kB at 500 kB/s took {narrow:?}");
    let beside = TcpStream::connect((east.access_address(), port)).unwrap();
    let wide = echoed(&beside, 500_000, TIMEOUT).unwrap();
    assert!(wide < narrow, "{wide:?} and {narrow:?}");
    west.narrow(None).unwrap();
    let again = echoed(&between, 500_000, TIMEOUT).unwrap();
    assert!(again < narrow, "{again:?} after {narrow:?}");
}

#[test]
fn nothing_of_a_network_remains_when_it_is_dropped() {
    let Some((network, west, east)) = two_sites() else { return };
    let files = [&network.hub.namespace, &west.namespace, &east.namespace].map(|namespace| names::file(&namespace.0));
    let ours = names::interface(network.hub.net, 0);
    assert!(files.iter().all(|file| file.exists()));
    assert!(ip::output_of(&["link", "show", &ours]).is_ok());
    drop((network, west, east));
    assert!(files.iter().all(|file| !file.exists()));
    // The kernel removes the interfaces a moment later.
    let deadline = Instant::now() + TIMEOUT;
    while ip::output_of(&["link", "show", &ours]).is_ok() {
        assert!(Instant::now() < deadline, "{ours} remains");
        thread::sleep(Duration::from_millis(20));
    }
}
