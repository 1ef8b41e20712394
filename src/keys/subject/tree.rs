//! A pseudorandom function that can forget single inputs and keeps all others.
//!
//! It is the tree of Goldreich, Goldwasser and Micali ("How to Construct Random Functions", JACM 33(4), 1986): a node
//! gives its children by a one-way function, and the value of an input is the leaf that its digits lead to. Forgetting
//! an input ("puncturing") puts in place of the nodes on its path their other children. All other leaves can be
//! reached still, and nothing that is left leads to the forgotten one: Boneh and Waters ("Constrained Pseudorandom
//! Functions and Their Applications", ASIACRYPT 2013), Boyle, Goldwasser and Ivan ("Functional Signatures and
//! Pseudorandom Functions", PKC 2014), Kiayias, Papadopoulos, Triandopoulos and Zacharias ("Delegatable Pseudorandom
//! Functions and Applications", CCS 2013).
//!
//! ```text
//! path     the 24 hexadecimal digits of a digest of 96 bits, the first digit first
//! child i  SHA-256("sealift-subject-1" | i (1 byte) | node (32)), one compression
//! leaf     the node behind all 24 digits
//!
//! encoded  node := 0                   forgotten; 24 digits deep only
//!                | 1 | node (32)       whole: all below it can be reached
//!                | 2 | node * 16       its children, in order; less than 24 digits deep
//! ```

use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

use super::Digest;
use crate::secret::Secret;

const LABEL: &[u8] = b"sealift-subject-1";
const FANOUT: u8 = 16;
/// Digits of a path.
pub(super) const DEPTH: usize = 24;

const FORGOTTEN: u8 = 0;
const WHOLE: u8 = 1;
const SPLIT: u8 = 2;

/// A secret of 32 bytes: an inner node, or a leaf.
pub(super) type Seed = Zeroizing<[u8; 32]>;

/// What is left of the tree. No `Debug`: it holds keys.
pub(super) struct Tree {
    root: Node,
    forgotten: usize,
}

enum Node {
    Forgotten,
    Whole(Seed),
    Split(Box<[Node; FANOUT as usize]>),
}

impl Tree {
    /// The whole tree under a root.
    pub(super) const fn new(root: Seed) -> Self {
        Self { root: Node::Whole(root), forgotten: 0 }
    }

    /// How many leaves are forgotten.
    pub(super) const fn forgotten(&self) -> usize {
        self.forgotten
    }

    /// The leaf of a digest; `None` once it is forgotten.
    pub(super) fn leaf(&self, digest: Digest) -> Option<Seed> {
        let (mut node, mut digits) = (&self.root, digits(digest));
        loop {
            match node {
                Node::Forgotten => return None,
                Node::Whole(seed) => {
                    return Some(digits.fold(seed.clone(), |seed, digit| child(&seed, digit)));
                }
                Node::Split(children) => node = children.get(usize::from(digits.next()?))?,
            }
        }
    }

    /// Forgets a leaf; `false` where it was forgotten before.
    pub(super) fn forget(&mut self, digest: Digest) -> bool {
        let mut node = &mut self.root;
        for digit in digits(digest) {
            if let Node::Whole(seed) = node {
                let children = std::array::from_fn(|place| {
                    // Below 16.
                    Node::Whole(child(seed, u8::try_from(place).unwrap_or_default()))
                });
                *node = Node::Split(Box::new(children));
            }
            let Node::Split(children) = node else { return false };
            let Some(next) = children.get_mut(usize::from(digit)) else { return false };
            node = next;
        }
        let was_there = matches!(node, Node::Whole(_));
        *node = Node::Forgotten;
        self.forgotten += usize::from(was_there);
        was_there
    }

    /// Its bytes.
    pub(super) fn encode(&self) -> Secret {
        // At once, so that growing leaves no copies behind.
        let mut out = Vec::with_capacity(self.root.encoded_bytes());
        self.root.encode(&mut out);
        Secret::new(out)
    }

    /// From its bytes, all of them; `None` for any others.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut rest, mut forgotten) = (bytes, 0);
        let root = Node::decode(&mut rest, 0, &mut forgotten)?;
        rest.is_empty().then_some(Self { root, forgotten })
    }
}

impl Node {
    fn encoded_bytes(&self) -> usize {
        match self {
            Self::Forgotten => 1,
            Self::Whole(seed) => 1 + seed.len(),
            Self::Split(children) => 1 + children.iter().map(Self::encoded_bytes).sum::<usize>(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Forgotten => out.push(FORGOTTEN),
            Self::Whole(seed) => {
                out.push(WHOLE);
                out.extend_from_slice(seed.as_slice());
            }
            Self::Split(children) => {
                out.push(SPLIT);
                children.iter().for_each(|child| child.encode(out));
            }
        }
    }

    fn decode(rest: &mut &[u8], depth: usize, forgotten: &mut usize) -> Option<Self> {
        let (kind, after) = rest.split_first()?;
        *rest = after;
        match *kind {
            FORGOTTEN if depth == DEPTH => {
                *forgotten += 1;
                Some(Self::Forgotten)
            }
            WHOLE => {
                let (seed, after) = rest.split_first_chunk()?;
                *rest = after;
                Some(Self::Whole(Zeroizing::new(*seed)))
            }
            SPLIT if depth < DEPTH => {
                let mut children = Vec::with_capacity(FANOUT.into());
                for _ in 0..FANOUT {
                    children.push(Self::decode(rest, depth + 1, forgotten)?);
                }
                Some(Self::Split(Box::new(children.try_into().ok()?)))
            }
            _ => None,
        }
    }
}

fn digits(digest: Digest) -> impl Iterator<Item = u8> {
    digest.0.into_iter().flat_map(|byte| [byte >> 4, byte & 15])
}

fn child(seed: &Seed, digit: u8) -> Seed {
    let mut context = Context::new(&SHA256);
    context.update(LABEL);
    context.update(&[digit]);
    context.update(seed.as_slice());
    let mut out = Zeroizing::new([0; 32]);
    out.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree() -> Tree {
        Tree::new(Zeroizing::new([7; 32]))
    }

    /// Digests that lie close together, so that paths part late as well as early.
    fn near() -> impl Strategy<Value = Digest> {
        let random = any::<[u8; 12]>();
        let late = (any::<u8>(), 0..12_usize).prop_map(|(byte, place)| {
            let mut digest = [0x5a; 12];
            digest[place] = byte;
            digest
        });
        prop_oneof![random, late].prop_map(Digest)
    }

    #[test]
    fn a_leaf_is_the_hash_chain_of_its_path() {
        use sha2::Digest as _;

        let digest = Digest([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98]);
        let expected = "0123456789abcdeffedcba98".chars().fold(vec![7; 32], |seed, digit| {
            let digit = u8::try_from(digit.to_digit(16).unwrap()).unwrap();
            sha2::Sha256::digest([b"sealift-subject-1".as_slice(), &[digit], &seed].concat()).to_vec()
        });
        assert_eq!(tree().leaf(digest).unwrap().to_vec(), expected);
        assert!(LABEL.len() + 1 + 32 <= 55, "more would be two compressions");
    }

    /// Every node that is left, with the digits that lead to it.
    fn left(node: &Node, path: &mut Vec<u8>, seen: &mut Vec<(Vec<u8>, Seed)>) {
        match node {
            Node::Forgotten => {}
            Node::Whole(seed) => seen.push((path.clone(), seed.clone())),
            Node::Split(children) => {
                for (digit, child) in (0..).zip(children.iter()) {
                    path.push(digit);
                    left(child, path, seen);
                    path.pop();
                }
            }
        }
    }

    #[test]
    fn forgetting_one_leaves_its_siblings_and_none_of_its_ancestors() {
        let mut tree = tree();
        let digest = Digest([0xc3; 12]);
        assert!(tree.forget(digest) && !tree.forget(digest));
        let mut seen = Vec::new();
        left(&tree.root, &mut Vec::new(), &mut seen);
        assert_eq!(seen.len(), 15 * DEPTH);
        let path: Vec<u8> = digits(digest).collect();
        assert!(seen.iter().all(|(other, _)| !path.starts_with(other)));
        assert_eq!(tree.encode().expose().len(), 33 * 15 * DEPTH + DEPTH + 1);
    }

    proptest! {
        #[test]
        fn all_but_the_forgotten_stay_as_they_were(
            forgotten in proptest::collection::vec(near(), 1..20),
            others in proptest::collection::vec(near(), 1..40),
        ) {
            let whole = tree();
            let mut punctured = tree();
            for digest in &forgotten {
                punctured.forget(*digest);
            }
            let again = Tree::decode(punctured.encode().expose()).unwrap();
            for tree in [&punctured, &again] {
                prop_assert!(forgotten.iter().all(|digest| tree.leaf(*digest).is_none()));
                for digest in others.iter().filter(|digest| !forgotten.contains(digest)) {
                    prop_assert_eq!(tree.leaf(*digest), whole.leaf(*digest));
                }
            }
            let distinct: std::collections::BTreeSet<_> = forgotten.iter().map(|digest| digest.0).collect();
            prop_assert_eq!((punctured.forgotten(), again.forgotten()), (distinct.len(), distinct.len()));
            // No node that is left is one on a forgotten path.
            let mut seen = Vec::new();
            left(&again.root, &mut Vec::new(), &mut seen);
            for digest in &forgotten {
                let mut node = Zeroizing::new([7; 32]);
                prop_assert!(seen.iter().all(|(_, seed)| *seed != node));
                for digit in digits(*digest) {
                    node = child(&node, digit);
                    prop_assert!(seen.iter().all(|(_, seed)| *seed != node));
                }
            }
        }

        #[test]
        fn bytes_that_are_no_tree_are_refused(
            forgotten in proptest::collection::vec(near(), 0..3),
            cut in any::<proptest::sample::Index>(),
            noise in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut tree = tree();
            forgotten.iter().for_each(|digest| { tree.forget(*digest); });
            let bytes = tree.encode().expose().to_vec();
            prop_assert!(Tree::decode(&bytes[..cut.index(bytes.len())]).is_none());
            prop_assert!(Tree::decode(&[&bytes[..], &[FORGOTTEN]].concat()).is_none());
            // What is read at all is what would be written.
            if let Some(read) = Tree::decode(&noise) {
                let again = read.encode();
                prop_assert_eq!(again.expose(), noise);
            }
        }
    }

    #[test]
    fn a_tree_that_is_too_deep_or_forgets_too_early_is_refused() {
        assert!(Tree::decode(&[SPLIT; 100]).is_none());
        assert!(Tree::decode(&[FORGOTTEN]).is_none());
        assert!(Tree::decode(&[3]).is_none() && Tree::decode(&[]).is_none());
    }
}
