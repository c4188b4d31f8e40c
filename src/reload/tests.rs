use std::{
    fs,
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc as std_mpsc,
    },
};

use tokio::{sync::mpsc, time::Instant};

use super::*;

/// A reload of files that counts how often they are applied. What begins with `wrong`
/// cannot be.
fn counting(files: &[&Path]) -> (Reload, Arc<AtomicUsize>) {
    let applied = Arc::new(AtomicUsize::new(0));
    let files: Vec<_> = files.iter().map(Into::into).collect();
    let reload = Reload::new(Kind::Token, files.clone(), {
        let applied = Arc::clone(&applied);
        move |snapshot| {
            applied.fetch_add(1, Ordering::Relaxed);
            let content = snapshot.content(files.last().unwrap())?;
            if content.starts_with(b"wrong") {
                return Err("wrong".into());
            }
            Ok(())
        }
    });
    (reload.unwrap(), applied)
}

fn wrong(error: &str, is_new: bool) -> Look {
    let error = error.into();
    Look::Wrong { error, is_new }
}

#[test]
fn a_change_is_applied_once_it_has_settled_and_tried_again_until_it_succeeds() {
    let directory = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| directory.path().join(name));
    fs::write(&one, "1").unwrap();
    fs::write(&two, "").unwrap();
    let (mut reload, applied) = counting(&[&one, &two]);
    let mut looks = |expected: &[Look], count| {
        for expected in expected {
            assert_eq!(reload.look(), *expected);
        }
        assert_eq!(applied.load(Ordering::Relaxed), count);
    };
    looks(&[Look::InForce, Look::InForce], 1);
    fs::write(&two, "1").unwrap();
    looks(&[Look::Unsettled], 1);
    // It is still written to.
    fs::write(&two, "12").unwrap();
    looks(&[Look::Unsettled, Look::Applied, Look::InForce], 2);
    // The same bytes, but not in the same file.
    fs::write(&one, "112").unwrap();
    fs::write(&two, "").unwrap();
    looks(&[Look::Unsettled, Look::Applied, Look::InForce], 3);
    fs::write(&two, "wrong").unwrap();
    looks(
        &[Look::Unsettled, wrong("wrong", true), wrong("wrong", false)],
        5,
    );
    fs::write(&two, "wrong as well").unwrap();
    looks(&[Look::Unsettled, wrong("wrong", true)], 6);
    fs::write(&two, "").unwrap();
    looks(&[Look::InForce], 6);
    fs::remove_file(&two).unwrap();
    let error = "cannot read the file: No such file or directory (os error 2)";
    looks(&[Look::Unsettled, wrong(error, true)], 7);
    fs::write(&two, "2").unwrap();
    looks(&[Look::Unsettled, Look::Applied], 8);
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_no_later_reload() {
    let (sender, mut applied) = mpsc::unbounded_channel();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let mut is_start = true;
    let reload = Reload::new(Kind::Token, vec![file.clone()], move |_| {
        sender.send(()).unwrap();
        assert!(std::mem::take(&mut is_start), "a defect");
        Ok(())
    });
    let metrics = ReloadMetrics::default();
    let watch = tokio::spawn(watch(vec![reload.unwrap()], metrics.clone()));
    fs::write(&file, "1").unwrap();
    // At the start, and then at every interval.
    for _ in 0..4 {
        applied.recv().await.unwrap();
    }
    assert_eq!(metrics.reloads(Kind::Token, "failed").get(), 1);
    assert_eq!(metrics.succeeded(Kind::Token).get(), 0);
    watch.abort();
}

#[tokio::test(start_paused = true)]
async fn a_change_is_applied_within_a_second() {
    let (sender, mut applied) = mpsc::unbounded_channel();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let reload = Reload::new(Kind::Callers, vec![file.clone()], move |_| {
        sender.send(()).unwrap();
        Ok(())
    });
    let watch = tokio::spawn(watch(vec![reload.unwrap()], ReloadMetrics::default()));
    applied.recv().await.unwrap();
    // At any time between two looks.
    for wait in (0..1000).step_by(77) {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let changed = Instant::now();
        fs::write(&file, wait.to_string()).unwrap();
        applied.recv().await.unwrap();
        let elapsed = changed.elapsed();
        assert!(elapsed <= Duration::from_secs(1), "{elapsed:?}");
    }
    watch.abort();
}

#[tokio::test]
async fn files_that_hang_are_counted_and_hold_up_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let [hangs, other] = ["hangs", "other"].map(|name| directory.path().join(name));
    fs::write(&other, "1").unwrap();
    let (release, released) = std_mpsc::channel::<()>();
    let (sender, mut begun) = mpsc::unbounded_channel();
    let mut is_start = true;
    let hanging = Reload::new(Kind::Certificate, vec![hangs.clone()], move |_| {
        if !std::mem::take(&mut is_start) {
            sender.send(()).unwrap();
            let _ = released.recv();
        }
        Ok(())
    });
    let (counting, applied) = counting(&[&other]);
    let metrics = ReloadMetrics::default();
    let watch = tokio::spawn(watch(vec![hanging.unwrap(), counting], metrics.clone()));
    fs::write(&hangs, "1").unwrap();
    begun.recv().await.unwrap();
    fs::write(&other, "2").unwrap();
    let until = async |holds: &dyn Fn() -> bool| {
        let wait = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), wait).await.unwrap();
    };
    until(&|| applied.load(Ordering::Relaxed) == 2).await;
    let failed = metrics.reloads(Kind::Certificate, "failed");
    until(&|| failed.get() == 1).await;
    assert_eq!(metrics.succeeded(Kind::Certificate).get(), 0);
    assert_eq!(metrics.succeeded(Kind::Token).get(), 1);
    // It hangs in one thread, and goes on there.
    begun.try_recv().unwrap_err();
    drop(release);
    until(&|| metrics.succeeded(Kind::Certificate).get() == 1).await;
    assert_eq!(failed.get(), 1);
    watch.abort();
}
