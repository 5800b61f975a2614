use rustix::event::{PollFd, PollFlags, poll};

use super::*;

fn bucket(size: u64, refill_time_ms: u64, one_time_burst: u64) -> BucketConfig {
    BucketConfig { size, refill_time_ms, one_time_burst }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn full_bucket_serves_its_size_at_once_and_then_waits() {
    let now = Instant::now();
    let mut bucket = TokenBucket::new(bucket(1000, 1000, 0), now).unwrap();
    assert_eq!(bucket.consume(600, now), Ok(()));
    assert_eq!(bucket.consume(400, now), Ok(()));
    assert_eq!(bucket.consume(250, now), Err(Wait(ms(250))));
}

#[test]
fn tokens_are_there_exactly_when_the_wait_is_over() {
    let now = Instant::now();
    let mut bucket = TokenBucket::new(bucket(1000, 1000, 0), now).unwrap();
    bucket.consume(1000, now).unwrap();
    assert_eq!(bucket.consume(250, now + ms(249)), Err(Wait(ms(1))));
    assert_eq!(bucket.consume(250, now + ms(250)), Ok(()));
    assert_eq!(bucket.consume(1, now + ms(250)), Err(Wait(ms(1))));
}

#[test]
fn refill_stops_at_the_size() {
    let now = Instant::now();
    let mut bucket = TokenBucket::new(bucket(10, 10, 0), now).unwrap();
    let later = now + Duration::from_secs(1_000_000);
    assert_eq!(bucket.consume(10, later), Ok(()));
    assert_eq!(bucket.consume(1, later), Err(Wait(ms(1))));
}

#[test]
fn burst_is_spent_first_and_only_once() {
    let now = Instant::now();
    let mut bucket = TokenBucket::new(bucket(10, 10, 5), now).unwrap();
    assert_eq!(bucket.consume(15, now), Ok(()));
    let later = now + ms(1000);
    assert_eq!(bucket.consume(10, later), Ok(()));
    assert_eq!(bucket.consume(5, later), Err(Wait(ms(5))));
}

#[test]
fn request_larger_than_the_bucket_passes_when_full_and_leaves_a_debt() {
    let now = Instant::now();
    let mut bucket = TokenBucket::new(bucket(10, 10, 0), now).unwrap();
    assert_eq!(bucket.consume(35, now), Ok(()));
    assert_eq!(bucket.consume(1, now), Err(Wait(ms(26))));
    assert_eq!(bucket.consume(35, now + ms(26)), Err(Wait(ms(9))));
    assert_eq!(bucket.consume(35, now + ms(35)), Ok(()));
}

#[test]
fn slow_bucket_loses_no_time_to_rounding() {
    let start = Instant::now();
    let mut bucket = TokenBucket::new(bucket(3, 1000, 0), start).unwrap();
    bucket.consume(3, start).unwrap();
    let mut now = start;
    for _ in 0..999 {
        now += ms(1);
        assert!(bucket.consume(3, now).is_err());
    }
    assert_eq!(bucket.consume(3, start + ms(1000)), Ok(()));
}

#[test]
fn extreme_values_do_not_overflow() {
    let now = Instant::now();
    let mut bucket = TokenBucket::new(bucket(u64::MAX, u64::MAX, u64::MAX), now).unwrap();
    for _ in 0..4 {
        let _ = bucket.consume(u64::MAX, now + Duration::from_secs(1 << 33));
    }
    let mut tiny = TokenBucket::new(super::tests::bucket(1, u64::MAX, 0), now).unwrap();
    assert_eq!(tiny.consume(u64::MAX, now), Ok(()));
    assert_eq!(tiny.consume(1, now), Err(Wait(Duration::from_nanos(u64::MAX))));
}

#[test]
fn clock_that_goes_back_adds_nothing() {
    let now = Instant::now();
    let mut bucket = TokenBucket::new(bucket(10, 10, 0), now + ms(100)).unwrap();
    bucket.consume(10, now + ms(100)).unwrap();
    assert!(bucket.consume(1, now).is_err());
    assert!(bucket.consume(1, now + ms(100)).is_err());
}

#[test]
fn bucket_of_no_size_or_no_time_limits_nothing() {
    let now = Instant::now();
    let config = LimiterConfig { bandwidth: Some(bucket(0, 10, 0)), ops: Some(bucket(10, 0, 0)) };
    let mut limiter = RateLimiter::new(config, now);
    assert!(limiter.is_unlimited());
    assert_eq!(limiter.consume(u64::MAX, u64::MAX, now), Ok(()));
}

#[test]
fn refused_request_takes_from_neither_bucket() {
    let now = Instant::now();
    let config =
        LimiterConfig { bandwidth: Some(bucket(100, 100, 0)), ops: Some(bucket(2, 1000, 0)) };
    let mut limiter = RateLimiter::new(config, now);
    limiter.consume(1, 100, now).unwrap();
    assert_eq!(limiter.consume(1, 40, now), Err(Wait(ms(40))));
    assert_eq!(limiter.consume(1, 0, now), Ok(()), "the refused request took no operation");
    assert_eq!(limiter.consume(1, 0, now), Err(Wait(ms(500))));
}

#[test]
fn update_replaces_only_the_bucket_it_gives() {
    let now = Instant::now();
    let config =
        LimiterConfig { bandwidth: Some(bucket(100, 100, 0)), ops: Some(bucket(1, 1000, 0)) };
    let mut limiter = RateLimiter::new(config, now);
    limiter.consume(1, 100, now).unwrap();
    limiter.update(LimiterUpdate { ops: Some(bucket(5, 1000, 0)), bandwidth: None }, now);
    assert_eq!(limiter.consume(1, 10, now), Err(Wait(ms(10))));
    limiter.update(LimiterUpdate { ops: None, bandwidth: Some(bucket(0, 0, 0)) }, now);
    assert_eq!(limiter.consume(5, 1_000_000, now), Ok(()));
}

#[test]
fn shared_limiter_follows_its_updates() {
    let limiter = SharedLimiter::default();
    assert_eq!(limiter.consume(1, u64::MAX), Ok(()));
    let slow = Some(bucket(1, 1_000_000, 0));
    limiter.update(LimiterUpdate { ops: slow, bandwidth: None });
    assert_eq!(limiter.consume(1, 0), Ok(()));
    assert!(limiter.consume(1, 0).is_err());
    limiter.update(LimiterUpdate { ops: Some(BucketConfig::default()), bandwidth: None });
    assert_eq!(limiter.consume(100, 0), Ok(()));
}

fn readable(timer: &LimitTimer, timeout: Duration) -> bool {
    let mut fds = [PollFd::new(&timer.0, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::try_from(timeout).unwrap())).unwrap() == 1
}

#[test]
fn timer_becomes_readable_when_armed_and_not_after_it_is_disarmed() {
    let timer = LimitTimer::new().unwrap();
    assert!(!readable(&timer, Duration::ZERO));
    timer.arm(Wait(Duration::ZERO)).unwrap();
    assert!(readable(&timer, Duration::from_secs(10)));
    timer.disarm().unwrap();
    assert!(!readable(&timer, Duration::ZERO));
}
