use std::cell::Cell;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

const KINDS: [BalancerKind; 3] = [BalancerKind::P2c, BalancerKind::Ewma, BalancerKind::RoundRobin];

#[derive(Debug)]
struct Fake {
    weight: f64,
    in_flight: u32,
    latency: Option<f64>,
    idle: Duration,
    out: bool,
    claims: Cell<Option<u32>>,
}

impl Fake {
    fn weighing(weight: f64) -> Self {
        Self { weight, in_flight: 0, latency: None, idle: Duration::ZERO, out: false, claims: Cell::new(None) }
    }

    fn out(weight: f64) -> Self {
        Self { out: true, ..Self::weighing(weight) }
    }

    fn taking(latency: Duration) -> Self {
        Self { latency: Some(latency.as_secs_f64()), ..Self::weighing(1.0) }
    }
}

impl Load for Fake {
    fn weight(&self) -> f64 {
        self.weight
    }

    fn in_flight(&self) -> u32 {
        self.in_flight
    }

    fn latency(&self) -> Option<f64> {
        self.latency
    }

    fn idle_for(&self, _: Instant) -> Duration {
        self.idle
    }

    fn available(&self, _: Instant) -> bool {
        !self.out && self.claims.get() != Some(0)
    }

    fn claim(&self, _: Instant) -> bool {
        self.claims.get().is_none_or(|left| left > 0)
    }
}

fn picks(kind: BalancerKind, endpoints: &[Fake], avoid: &[usize], rounds: usize) -> Vec<usize> {
    let (balancer, now, mut rng) = (Balancer::new(kind), Instant::now(), StdRng::seed_from_u64(7));
    let mut counts = vec![0; endpoints.len()];
    for _ in 0..rounds {
        counts[balancer.pick(endpoints, now, avoid, &mut rng).unwrap()] += 1;
    }
    counts
}

fn fakes(weights: &[f64]) -> Vec<Fake> {
    weights.iter().copied().map(Fake::weighing).collect()
}

proptest! {
    #[test]
    fn shares_follow_the_weights(weights in prop::collection::vec(0_u32..20, 1..12)) {
        let weights: Vec<_> = weights.into_iter().map(f64::from).collect();
        let sum: f64 = weights.iter().sum();
        for kind in KINDS {
            let counts = picks(kind, &fakes(&weights), &[], 4_000);
            for (weight, count) in weights.iter().zip(counts) {
                let expected = if sum > 0.0 { weight / sum } else { 1.0 / weights.len() as f64 };
                let got = count as f64 / 4_000.0;
                prop_assert!((got - expected).abs() < 0.04, "{kind:?}: {got} instead of {expected} in {weights:?}");
                prop_assert!(sum == 0.0 || *weight > 0.0 || count == 0, "{kind:?}: no weight, yet traffic");
            }
        }
    }

    #[test]
    fn only_the_best_tier_is_picked(
        endpoints in prop::collection::vec((0_u32..3, any::<bool>()), 1..8),
        avoid in prop::collection::vec(0_usize..8, 0..4),
    ) {
        let all_zero = endpoints.iter().all(|(weight, _)| *weight == 0);
        let drawable = |index: usize| all_zero || endpoints[index].0 > 0;
        let tier = |index: usize| match (endpoints[index].1, avoid.contains(&index)) {
            (false, false) => 0,
            (false, true) => 1,
            (true, false) => 2,
            (true, true) => 3,
        };
        let best = (0..endpoints.len()).filter(|index| drawable(*index)).map(tier).min();
        let fakes: Vec<_> = endpoints.iter().map(|(weight, out)| {
            if *out { Fake::out(f64::from(*weight)) } else { Fake::weighing(f64::from(*weight)) }
        }).collect();
        for kind in KINDS {
            for (index, count) in picks(kind, &fakes, &avoid, 50).into_iter().enumerate() {
                prop_assert!(count == 0 || (drawable(index) && Some(tier(index)) == best), "{kind:?}: {index}");
            }
        }
    }
}

#[test]
fn nothing_is_picked_only_from_nothing() {
    let (now, mut rng) = (Instant::now(), StdRng::seed_from_u64(1));
    for kind in KINDS {
        assert_eq!(Balancer::new(kind).pick::<Fake>(&[], now, &[], &mut rng), None);
        assert_eq!(Balancer::new(kind).pick(&[Fake::out(0.0)], now, &[0], &mut rng), Some(0), "all are out: all used");
    }
}

#[test]
fn a_claim_that_fails_moves_the_pick_on() {
    let endpoints = [Fake::weighing(1000.0), Fake::weighing(1.0)];
    // Looks available, but another thread takes its probe each time.
    struct Contested<'a>(&'a Fake, bool);
    impl Load for Contested<'_> {
        fn weight(&self) -> f64 {
            self.0.weight()
        }
        fn in_flight(&self) -> u32 {
            0
        }
        fn latency(&self) -> Option<f64> {
            None
        }
        fn idle_for(&self, _: Instant) -> Duration {
            Duration::ZERO
        }
        fn available(&self, _: Instant) -> bool {
            self.0.claims.get() != Some(0)
        }
        fn claim(&self, _: Instant) -> bool {
            if self.1 {
                self.0.claims.set(Some(0));
            }
            !self.1
        }
    }
    let contested = [Contested(&endpoints[0], true), Contested(&endpoints[1], false)];
    for kind in KINDS {
        endpoints[0].claims.set(None);
        let (balancer, mut rng) = (Balancer::new(kind), StdRng::seed_from_u64(3));
        for _ in 0..3 {
            assert_eq!(balancer.pick(&contested, Instant::now(), &[], &mut rng), Some(1), "{kind:?}");
        }
    }
}

#[test]
fn p2c_and_ewma_prefer_the_less_loaded() {
    for kind in [BalancerKind::P2c, BalancerKind::Ewma] {
        let endpoints = [Fake { in_flight: 3, ..Fake::weighing(1.0) }, Fake::weighing(1.0)];
        assert_eq!(picks(kind, &endpoints, &[], 100), [0, 100], "{kind:?}");
    }
}

#[test]
fn ewma_avoids_the_slow_but_not_for_noise() {
    let fast = || Fake::taking(Duration::from_millis(1));
    let slow = [fast(), Fake::taking(Duration::from_millis(200))];
    assert_eq!(picks(BalancerKind::Ewma, &slow, &[], 100), [100, 0]);
    let noisy = [fast(), Fake::taking(Duration::from_millis(4))];
    let counts = picks(BalancerKind::Ewma, &noisy, &[], 1_000);
    assert!((400..600).contains(&counts[1]), "{counts:?}");
    let busy = [Fake { in_flight: 60, ..fast() }, Fake::taking(Duration::from_millis(200))];
    assert_eq!(picks(BalancerKind::Ewma, &busy, &[], 100), [0, 100], "a long queue outweighs a slow answer");
}

#[test]
fn ewma_tries_the_slow_again_after_a_second() {
    let fast = Fake { idle: Duration::from_millis(10), ..Fake::taking(Duration::from_millis(1)) };
    let slow = |idle| Fake { idle, ..Fake::taking(Duration::from_millis(200)) };
    let endpoints = [fast, slow(Duration::from_millis(999))];
    assert_eq!(picks(BalancerKind::Ewma, &endpoints, &[], 100), [100, 0]);
    let [fast, _] = endpoints;
    let endpoints = [fast, slow(Duration::from_secs(1))];
    assert_eq!(picks(BalancerKind::Ewma, &endpoints, &[], 100), [0, 100]);
    let [fast, slow] = endpoints;
    let endpoints = [Fake { idle: Duration::from_secs(3), ..fast }, slow];
    assert_eq!(picks(BalancerKind::Ewma, &endpoints, &[], 100), [100, 0], "with little traffic they take turns");
}

#[test]
fn round_robin_spreads_evenly() {
    let endpoints = fakes(&[3.0, 1.0]);
    let (balancer, now) = (Balancer::new(BalancerKind::RoundRobin), Instant::now());
    for seed in 0..20 {
        let mut rng = StdRng::seed_from_u64(seed);
        balancer.prepare(&[3.0, 1.0]);
        let order: Vec<_> = (0..40).map(|_| balancer.pick(&endpoints, now, &[], &mut rng).unwrap()).collect();
        for four in order.chunks(4) {
            assert_eq!(four.iter().filter(|picked| **picked == 1).count(), 1, "{order:?}");
        }
    }
}

#[test]
fn prepare_makes_new_weights_count() {
    let balancer = Balancer::new(BalancerKind::P2c);
    let mut rng = StdRng::seed_from_u64(5);
    balancer.prepare(&[1.0, 0.0]);
    let picked = balancer.pick(&fakes(&[1.0, 0.0]), Instant::now(), &[], &mut rng);
    assert_eq!(picked, Some(0));
    balancer.prepare(&[0.0, 1.0]);
    assert_eq!(balancer.pick(&fakes(&[0.0, 1.0]), Instant::now(), &[], &mut rng), Some(1));
}

#[test]
fn weights_of_any_size_are_drawn() {
    let huge = picks(BalancerKind::P2c, &fakes(&[f64::MAX, f64::MAX, f64::NAN, -1.0]), &[], 1_000);
    assert!(huge[0] > 400 && huge[1] > 400 && huge[2] == 0 && huge[3] == 0, "{huge:?}");
}
