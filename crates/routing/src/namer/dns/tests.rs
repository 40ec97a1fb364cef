use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::timeout;

use super::*;

const QUICK: Pace = Pace { refresh: Duration::from_millis(1), first_answer: Duration::from_millis(20) };
const SLOW: Pace = Pace { refresh: Duration::from_secs(3600), first_answer: Duration::from_secs(3600) };

fn known(last: u8) -> Resolution {
    Resolution::Known(vec![Ipv4Addr::new(10, 0, 0, last).into()])
}

/// Answers with each of `answers` in turn, then never again.
fn script(answers: Vec<Resolution>) -> Resolver {
    let answers = Arc::new(Mutex::new(answers.into_iter()));
    Resolver::new(move |_| {
        let next = answers.lock().unwrap().next();
        Box::pin(async move {
            match next {
                Some(answer) => answer,
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
    let mut watch = HostWatch::new(script(Vec::new()), QUICK);
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
fn resolve_now_asks_the_system() {
    let names = HashSet::from(["localhost".into()]);
    let resolved = resolve_now(&names, Duration::from_secs(10));
    let Some(Resolution::Known(ips)) = resolved.get("localhost") else { panic!("{resolved:?}") };
    assert!(ips.iter().all(IpAddr::is_loopback), "{ips:?}");
    assert!(resolve_now(&HashSet::new(), Duration::ZERO).is_empty());
}
