//! Nothing of a lab outlives it, however it ends. Needs root, and fails without.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::UdpSocket,
    os::unix::process::ExitStatusExt as _,
    panic,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, Loss, Signal, clock};

/// The namespaces of labs whose name begins with a prefix.
fn namespaces(prefix: &str) -> Vec<String> {
    fs::read_dir("/run/netns")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect()
}

/// What all names of a lab begin with.
fn prefix(lab: &Lab) -> String {
    lab.wan().name().trim_end_matches("wan").to_owned()
}

fn sleeper() -> Command {
    let mut command = Command::new("sleep");
    command.arg("1000");
    command
}

/// Whether a process is gone, or becomes so within two seconds.
fn ends(pid: u32) -> bool {
    let proc = format!("/proc/{pid}/stat");
    (0..200).any(|_| {
        let stat = fs::read_to_string(&proc).unwrap_or_default();
        let gone = stat.is_empty() || stat.contains(") Z ");
        if !gone {
            thread::sleep(Duration::from_millis(10));
        }
        gone
    })
}

#[test]
fn a_dropped_lab_leaves_nothing() -> Result<()> {
    let lab = Lab::builder().sites(&["fra", "nyc"]).build()?;
    lab.delay("fra", "nyc", Duration::from_millis(1))?;
    let (prefix, directory) = (prefix(&lab), lab.directory().to_owned());
    let process = lab.site("fra")?.spawn(sleeper())?;
    let stopped = lab.site("nyc")?.spawn(sleeper())?;
    stopped.signal(Signal::Stop);
    // A grandchild that has gone out of its parent's sight.
    let mut shell = Command::new("sh");
    shell.args(["-c", "setsid sleep 1000 & echo $!"]);
    let shell = lab.site("nyc")?.spawn(shell)?;
    shell.wait(Duration::from_secs(5))?;
    let grandchild: u32 = shell.logs()?.trim().parse()?;
    assert_eq!(namespaces(&prefix).len(), 3);
    let started = clock::now();
    drop(lab);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(namespaces(&prefix), Vec::<String>::new());
    assert!(!directory.exists());
    for pid in [process.pid(), stopped.pid(), grandchild] {
        assert!(ends(pid), "{pid}");
    }
    assert_eq!(process.status()?.and_then(|status| status.signal()), Some(libc::SIGTERM));
    Ok(())
}

#[test]
fn a_panic_leaves_nothing() {
    let mut seen = None;
    let caught = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let lab = Lab::builder().site("fra").build().expect("a lab");
        let process = lab.site("fra").expect("a site").spawn(sleeper()).expect("a process");
        seen = Some((prefix(&lab), process.pid()));
        panic!("on purpose");
    }));
    assert!(caught.is_err());
    let (prefix, pid) = seen.expect("the lab was built");
    assert_eq!(namespaces(&prefix), Vec::<String>::new());
    assert!(ends(pid));
}

#[test]
fn a_lab_that_cannot_be_built_leaves_nothing() {
    let before = Lab::builder().site("fra").build().map(|lab| prefix(&lab)).expect("a lab");
    for names in [&["wan"][..], &["fra", "fra"], &["Fra"], &["a-b"], &["abcdefghijklm"], &[""]] {
        let refused = Lab::builder().sites(names).build().expect_err("not a valid lab");
        assert!(refused.to_string().contains("site"), "{refused}");
    }
    assert_eq!(namespaces(&before), Vec::<String>::new());
}

#[test]
fn labs_side_by_side_do_not_see_one_another() -> Result<()> {
    let build = || Lab::builder().sites(&["fra", "nyc"]).build();
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(build);
        (one.join(), build())
    });
    let (one, other) = (one.ok().context("the thread panicked")??, other?);
    one.loss("fra", "nyc", Loss::Blackhole)?;
    for (lab, arrives) in [(&one, false), (&other, true)] {
        let receiver = lab.site("nyc")?.run(|| UdpSocket::bind("10.77.2.2:5000"))??;
        let sender = lab.site("fra")?.run(|| UdpSocket::bind("10.77.1.2:5000"))??;
        receiver.set_read_timeout(Some(Duration::from_millis(300)))?;
        sender.send_to(b"x", "10.77.2.2:5000")?;
        assert_eq!(receiver.recv(&mut [0; 1]).is_ok(), arrives);
    }
    assert_eq!((one.counters("fra", "nyc")?.seen, other.counters("fra", "nyc")?.seen), (1, 1));
    drop(one);
    assert_eq!(namespaces(&prefix(&other)).len(), 3);
    Ok(())
}

#[test]
fn a_process_can_be_stopped_asked_and_read() -> Result<()> {
    let lab = Lab::builder().site("fra").build()?;
    let fra = lab.site("fra")?;
    let mut script = Command::new("sh");
    script.args(["-c", "trap 'echo hup' HUP; trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.01; done"]);
    // The thread that starts it ends at once; the process must not.
    let process = thread::scope(|scope| scope.spawn(|| fra.spawn(script)).join());
    let process = process.ok().context("the thread panicked")??;
    let says = |word: &str| {
        (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            process.logs().is_ok_and(|logs| logs.contains(word))
        })
    };
    assert!(says("ready"));
    process.signal(Signal::Hangup);
    assert!(says("hup"));
    assert_eq!(process.status()?, None);
    assert_eq!(process.stop()?.code(), Some(3));
    assert!(says("term"));
    let mut command = Command::new("ip");
    command.args(["-br", "link"]);
    let links = String::from_utf8(fra.output(command)?.stdout)?;
    assert!(links.contains("wan0") && links.lines().count() == 2, "{links}");
    Ok(())
}

/// The holder, and what it says of its lab: prefix of the names, process, directory.
fn holder() -> Result<(Child, String, u32, String)> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["hold", "--overlay", "fra", "nyc"])
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(child.stdout.take().context("no output")?);
    let line = output
        .lines()
        .map_while(Result::ok)
        .find(|line| line.starts_with("held "))
        .context("the holder says nothing of its lab")?;
    let words: Vec<&str> = line.split(' ').collect();
    ensure!(words.len() == 4, "{line}");
    Ok((child, words[1].to_owned(), words[2].parse()?, words[3].to_owned()))
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: the call takes two numbers, and the child has not been waited for.
    unsafe { libc::kill(child.id().cast_signed(), signal) };
}

#[test]
fn a_signal_leaves_nothing() -> Result<()> {
    for (number, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143), (libc::SIGHUP, 129)] {
        let (mut child, prefix, pid, directory) = holder()?;
        assert_eq!(namespaces(&prefix).len(), 5);
        signal(&child, number);
        assert_eq!(child.wait()?.code(), Some(code));
        assert_eq!(namespaces(&prefix), Vec::<String>::new());
        assert!(!Path::new(&directory).exists());
        assert!(ends(pid));
    }
    Ok(())
}

#[test]
fn what_a_killed_lab_left_is_swept_by_the_next() -> Result<()> {
    let (mut child, prefix, pid, directory) = holder()?;
    signal(&child, libc::SIGKILL);
    assert!(ends(pid), "its processes die with it");
    child.wait()?;
    let _lab = Lab::builder().site("fra").build()?;
    assert_eq!(namespaces(&prefix), Vec::<String>::new());
    assert!(!Path::new(&directory).exists());
    Ok(())
}
