//! SHA-256 of many short messages.
//!
//! A row is some fifty blocks in two dozen messages, most of which are one block or two: what a hasher for
//! messages that arrive in pieces does around its blocks would cost as much as the blocks. Here a message
//! lies in a buffer that is used again, is padded where it lies (FIPS 180-4, 5.1.1), and is compressed by
//! one call, for which `sha2` takes the processor's own instructions where it has them.

use sha2::block_api::compress256;

/// How long a block is.
pub(super) const BLOCK: usize = 64;

// FIPS 180-4, 5.3.3.
const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The hash of a message, which is left with its padding.
pub(super) fn digest(message: &mut Vec<u8>) -> [u8; 32] {
    pad(message);
    let (blocks, _) = message.as_chunks();
    compressed(blocks)
}

/// The hash of a message that was padded before, and is one block.
pub(super) fn digest_block(block: [u8; BLOCK]) -> [u8; 32] {
    compressed(&[block])
}

/// Puts behind a message what SHA-256 puts there: it then is blocks.
pub(super) fn pad(message: &mut Vec<u8>) {
    let bits = 8 * message.len() as u64;
    message.push(0x80);
    let end = (message.len() + size_of_val(&bits)).next_multiple_of(BLOCK);
    message.resize(end - size_of_val(&bits), 0);
    message.extend_from_slice(&bits.to_be_bytes());
}

fn compressed(blocks: &[[u8; BLOCK]]) -> [u8; 32] {
    let mut state = START;
    compress256(&mut state, blocks);
    let mut hash = [0; 32];
    for (bytes, word) in hash.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    hash
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn a_message_of_any_length_has_the_hash_that_sha2_gives_it() {
        for length in 0..=4 * BLOCK {
            let message: Vec<u8> = (0..length).map(|n| n.to_le_bytes()[0]).collect();
            let expected: [u8; 32] = Sha256::digest(&message).into();
            assert_eq!(digest(&mut message.clone()), expected, "{length} bytes");
        }
    }
}
