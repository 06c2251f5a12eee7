//! Random numbers for ids and delays: fast, of each thread's own, seeded by the system.
//!
//! xoshiro256++ of Blackman and Vigna. They need not be secret, only different everywhere.

use std::cell::Cell;

use ring::rand::{SecureRandom as _, SystemRandom};

thread_local! {
    static STATE: Cell<[u64; 4]> = const { Cell::new([0; 4]) };
}

/// The next number of this thread.
pub(crate) fn next() -> u64 {
    STATE.with(|cell| {
        let mut state = cell.get();
        if state == [0; 4] {
            state = seed();
        }
        let number = step(&mut state);
        cell.set(state);
        number
    })
}

/// A number from 0 up to 1.
pub(crate) fn fraction() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds")]
    let number = (next() >> 11) as f64;
    number / (1_u64 << 53) as f64
}

fn step(state: &mut [u64; 4]) -> u64 {
    let [a, b, c, d] = *state;
    let number = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
    let (c, d) = (c ^ a, d ^ b);
    *state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
    number
}

#[cold]
fn seed() -> [u64; 4] {
    let mut bytes = [0; 32];
    // A system without randomness has no TLS either; the address of the thread's own state is then
    // what tells threads and processes apart.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        let address = STATE.with(|cell| std::ptr::from_ref(cell) as usize);
        bytes[..size_of::<usize>()].copy_from_slice(&address.to_le_bytes());
    }
    let mut state = [1; 4];
    for (word, bytes) in state.iter_mut().zip(bytes.chunks_exact(8)) {
        for byte in bytes {
            *word = *word << 8 | u64::from(*byte);
        }
    }
    // All zero stands for no seed.
    state[0] |= 1;
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the reference implementation, from the state 1, 2, 3, 4.
    #[test]
    fn the_generator_is_the_one_that_is_known() {
        let mut state = [1, 2, 3, 4];
        let first: Vec<u64> = (0..5).map(|_| step(&mut state)).collect();
        assert_eq!(
            first,
            [41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205]
        );
    }

    #[test]
    fn threads_have_numbers_of_their_own() {
        let draw = || (0..100).map(|_| next()).collect::<Vec<u64>>();
        let here = draw();
        let there = std::thread::spawn(draw).join().unwrap();
        let mut all = [here, there].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 200);
        assert!((0..100).all(|_| (0.0..1.0).contains(&fraction())));
    }
}
