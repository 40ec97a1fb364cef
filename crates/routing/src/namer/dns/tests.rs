use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::timeout;

use super::*;

const QUICK: Pace = Pace {
    refresh: Duration::from_millis(1),
    shortest: Duration::from_millis(1),
    longest: Duration::from_millis(2),
    first_answer: Duration::from_millis(20),
};
const HOUR: Duration = Duration::from_secs(3600);
const SLOW: Pace = Pace { refresh: HOUR, shortest: Duration::from_millis(1), longest: HOUR, first_answer: HOUR };

fn known(last: u8) -> Resolution {
    Resolution::Known(vec![Ipv4Addr::new(10, 0, 0, last).into()])
}

/// Answers with each of `answers` in turn, then never again.
fn script<R: Into<Reply> + Send + 'static>(answers: Vec<R>) -> Resolver {
    let answers = Arc::new(Mutex::new(answers.into_iter()));
    Resolver::new(move |_| {
        let next = answers.lock().unwrap().next();
        Box::pin(async move {
            match next {
                Some(answer) => answer.into(),
                None => std::future::pending().await,
            }
        })
    })
}

async fn next(watch: &mut HostWatch) -> Arc<str> {
    timeout(Duration::from_secs(10), watch.changed()).await.expect("an answer changes something")
}

#[tokio::test]
async fn names_are_asked_for_again_and_only_changes_are_told() {
    let answers = vec![known(1), known(1), known(1), known(2), Resolution::Unknown, known(3)];
    let mut watch = HostWatch::new(script(answers), QUICK);
    watch.add(&"users".into());
    for expected in [known(1), known(2), Resolution::Unknown, known(3)] {
        assert_eq!(&*next(&mut watch).await, "users");
        assert_eq!(watch.known("users"), Some(&expected));
    }
}

#[tokio::test]
async fn a_temporary_failure_forgets_nothing() {
    let away = || Resolution::Temporary("away".to_owned());
    let mut watch = HostWatch::new(script(vec![away(), known(1), away(), away(), known(2)]), QUICK);
    watch.add(&"users".into());
    for expected in [away(), known(1), known(2)] {
        next(&mut watch).await;
        assert_eq!(watch.known("users"), Some(&expected), "a failure after a good answer is not told");
    }
}

#[tokio::test]
async fn a_first_answer_that_does_not_come_counts_as_failed() {
    let mut watch = HostWatch::new(script(Vec::<Reply>::new()), QUICK);
    watch.add(&"users".into());
    next(&mut watch).await;
    assert!(matches!(watch.known("users"), Some(Resolution::Temporary(_))));
}

#[tokio::test]
async fn only_so_many_are_asked_for_at_once() {
    let running = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&running);
    let resolver = Resolver::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::pending())
    });
    let mut watch = HostWatch::new(resolver, SLOW);
    for name in 0..500 {
        watch.add(&format!("host{name}").into());
    }
    crate::eventually::eventually("the first are asked for", || {
        // One poll starts the tasks.
        let mut changed = std::pin::pin!(watch.changed());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(changed.as_mut().poll(&mut context).is_pending());
        let running = running.load(Ordering::Relaxed);
        if running >= FIRST_AT_ONCE { Ok(()) } else { Err(format!("{running} run")) }
    })
    .await;
    assert_eq!(running.load(Ordering::Relaxed), FIRST_AT_ONCE);
}

#[tokio::test]
async fn names_that_are_no_longer_watched_are_forgotten() {
    let mut watch = HostWatch::new(script(vec![known(1), known(2)]), SLOW);
    watch.add(&"users".into());
    next(&mut watch).await;
    watch.watch(&HashSet::from(["billing".into()]));
    assert_eq!(watch.known("users"), None);
    assert_eq!(&*next(&mut watch).await, "billing");
}

fn reply(last: u8, ttl: Duration) -> Reply {
    Reply { ttl: Some(ttl), ..known(last).into() }
}

#[tokio::test]
async fn an_answer_is_asked_for_again_when_its_ttl_is_over() {
    let brief = Duration::from_millis(2);
    let answers = vec![reply(1, brief), reply(2, brief), reply(3, HOUR), reply(4, HOUR)];
    let mut watch = HostWatch::new(script(answers), SLOW);
    watch.add(&"users".into());
    for expected in [known(1), known(2), known(3)] {
        next(&mut watch).await;
        assert_eq!(watch.known("users"), Some(&expected));
    }
    let due = watch.hosts.get("users").unwrap().due;
    assert!(due > Instant::now() + HOUR / 2, "not before");
}

#[test]
fn ttls_are_bounded_and_what_is_unknown_or_failed_is_asked_for_soon() {
    let (pace, seconds) = (Pace::default(), Duration::from_secs);
    let temporary = || Resolution::Temporary("away".to_owned());
    for (resolution, ttl, missing, after) in [
        (known(1), Some(seconds(30)), None, seconds(30)),
        (known(1), Some(seconds(0)), None, seconds(1)),
        (known(1), Some(seconds(86_400)), None, seconds(300)),
        (known(1), None, None, seconds(5)),
        (known(1), Some(seconds(30)), Some(Family::V6), seconds(5)),
        (known(1), Some(seconds(2)), Some(Family::V6), seconds(2)),
        (Resolution::Unknown, Some(seconds(30)), None, seconds(30)),
        (Resolution::Unknown, Some(seconds(86_400)), None, seconds(300)),
        (Resolution::Unknown, None, None, seconds(5)),
        (temporary(), None, None, seconds(5)),
        (temporary(), Some(seconds(30)), None, seconds(5)),
    ] {
        let reply = Reply { resolution, ttl, missing };
        assert_eq!(pace.after(&reply), after, "{reply:?}");
    }
}

#[test]
fn addresses_of_a_family_that_was_not_answered_for_stay() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let all = |texts: &[&str]| Resolution::known(texts.iter().map(|text| ip(text)).collect());
    let before = all(&["10.0.0.1", "fd00::1"]);
    for (now, missing, expected) in [
        (all(&["10.0.0.2"]), Some(Family::V6), all(&["10.0.0.2", "fd00::1"])),
        (all(&["fd00::2"]), Some(Family::V4), all(&["10.0.0.1", "fd00::2"])),
        (all(&["10.0.0.2"]), None, all(&["10.0.0.2"])),
        (Resolution::Unknown, None, Resolution::Unknown),
    ] {
        let reply = Reply { resolution: now.clone(), ttl: None, missing };
        assert_eq!(reply.clone().after(Some(&before)), expected);
        assert_eq!(reply.after(None), now);
    }
}

#[test]
fn unknown_and_temporary_are_told_apart() {
    let of = |text: &str| Resolution::of(Err::<std::iter::Empty<IpAddr>, _>(io::Error::other(text.to_owned())));
    let prefix = "failed to lookup address information: ";
    assert_eq!(of(&format!("{prefix}Name or service not known")), Resolution::Unknown);
    let temporary = format!("{prefix}Temporary failure in name resolution");
    assert_eq!(of(&temporary), Resolution::Temporary(temporary));
    assert_eq!(Resolution::of(Ok(std::iter::empty())), Resolution::Unknown);
}

#[test]
fn resolve_now_asks_as_the_system_is_configured() {
    let names = HashSet::from(["localhost".into()]);
    let resolved = resolve_now(&DnsConfig::default(), &names, Duration::from_secs(10));
    let Some(Resolution::Known(ips)) = resolved.get("localhost") else { panic!("{resolved:?}") };
    assert!(ips.iter().all(IpAddr::is_loopback), "{ips:?}");
    assert!(resolve_now(&DnsConfig::default(), &HashSet::new(), Duration::ZERO).is_empty());
}
