//! What policy and spec together ask of one leaf column.

use super::carried::Leaf;
use super::fit;
use crate::spec::policy::Unmatched;
use crate::spec::verdict::{Evidence, Origin, Verdict, Why};
use crate::spec::{Action, Policy, Tag};

/// The action that was chosen.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) tag: Option<Tag>,
    pub(super) action: Action,
    pub(super) because: String,
    /// Index of the policy's rule that asked.
    pub(super) rule: Option<usize>,
}

/// Chooses for one leaf: the strictest of everything asked. Whatever stands in the way is added to
/// `problems`, one line each, and then there is no choice.
pub(super) fn choose(
    policy: &Policy,
    leaf: &Leaf,
    verdict: &Verdict,
    problems: &mut Vec<String>,
) -> Option<Choice> {
    let before = problems.len();
    let reaching = reaching(leaf, verdict);
    let mut policy_asks: Vec<Choice> =
        reaching.iter().filter_map(|e| e.tag.as_ref()).filter_map(|tag| asked_for(policy, tag)).collect();
    let spec_asks: Vec<Choice> = reaching.iter().filter_map(|e| declared(e, &reaching)).collect();

    let gaps = gaps(policy, verdict, &reaching);
    if !gaps.is_empty() {
        // Who may read an encrypted column is decided key by key, so a spec that protects at least
        // so much may stand in for a rule; one that protects less may not.
        let is_protected = spec_asks.iter().any(|c| c.action.strength() >= Action::Encrypt.strength());
        match policy.unmatched {
            Unmatched::Refuse if is_protected => {}
            Unmatched::Refuse => problems.push(format!("column `{}`: {}", leaf.path, gaps.join("; "))),
            Unmatched::Encrypt => policy_asks.push(unmatched(Action::Encrypt)),
            Unmatched::Drop => policy_asks.push(unmatched(Action::Drop)),
        }
    }
    too_weak(policy, leaf, &reaching, &policy_asks, problems);
    let choice = strictest(leaf, &policy_asks, &spec_asks, problems);
    if choice.as_ref().is_some_and(|choice| shows_parts(&choice.action)) {
        computed_mask(leaf, verdict, &reaching, &policy_asks, problems);
    }
    if problems.len() == before { choice } else { None }
}

/// What an action would tell of a value that the leaf's tags protect: which of few it is, or too much of its end.
/// Only infosec's policy can say that this is meant.
pub(super) fn tells(policy: &Policy, leaf: &Leaf, verdict: &Verdict, action: &Action) -> Option<String> {
    let reaching = reaching(leaf, verdict);
    let mut tags = reaching.iter().filter_map(|e| e.tag.as_ref());
    if let Action::Mask(mask) = action {
        let (tag, most) = tags
            .filter_map(|tag| Some((tag, fit::mask_limit(tag)?)))
            .filter(|(_, most)| mask.keep_last > *most)
            .min_by_key(|(_, most)| *most)?;
        let keeps = mask.keep_last;
        return Some(format!(
            "keeps {keeps} characters, and of {tag} at most {most} may stay; lower `keep_last`, or use `redact`"
        ));
    }
    if !action.is_deterministic_pseudonym() {
        return None;
    }
    let tag = tags.find(|tag| fit::is_small_domain(tag) && !policy.allows_small_domain(tag))?;
    Some(format!(
        "would show which is which of the few values of {tag}, by counting; use `encrypt` or `redact`, or let the          policy's rule say `allow_small_domain: true`"
    ))
}

/// The declarations that reach the leaf. The stated default gives way to a declaration of the leaf,
/// unless it stands for an undeclared source column too.
fn reaching<'a>(leaf: &Leaf, verdict: &'a Verdict) -> Vec<&'a Evidence> {
    let all: Vec<_> =
        verdict.evidence.iter().filter(|e| e.leaf.as_deref().is_none_or(|name| covers(name, leaf))).collect();
    let is_declared = all.iter().any(|e| e.why == Why::Named || e.leaf.is_some());
    if is_declared && undeclared(verdict, &all).next().is_none() {
        all.into_iter().filter(|e| e.why != Why::Default).collect()
    } else {
        all
    }
}

/// The undeclared source columns that the leaf comes from. In an unchanged copy of a nested column
/// the leaf's own declaration is enough.
fn undeclared<'a>(verdict: &'a Verdict, reaching: &[&Evidence]) -> impl Iterator<Item = &'a String> {
    let is_leaf_of = |e: &Evidence, source: &str| match (&e.why, &e.leaf) {
        (Why::Named, Some(name)) | (Why::From(name), Some(_)) => is_within(name, source),
        _ => false,
    };
    let covered = verdict.copy_of.as_ref().filter(|copied| reaching.iter().any(|e| is_leaf_of(e, copied)));
    verdict.undeclared.iter().filter(move |source| Some(*source) != covered)
}

/// Whether a declared name is the leaf, or a nested column around it.
pub(super) fn covers(name: &str, leaf: &Leaf) -> bool {
    is_within(&leaf.path, name) || is_within(&leaf.name, name)
}

/// Whether a path is that column or part, or inside it.
fn is_within(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn asked_for(policy: &Policy, tag: &Tag) -> Option<Choice> {
    let (index, rule) = policy.rule_for(tag)?;
    let glob = rule.tags.iter().find(|glob| glob.matches(tag)).map_or("", |glob| glob.as_str());
    Some(Choice {
        tag: Some(tag.clone()),
        action: rule.action.clone(),
        because: format!("policy rule {} ({glob})", index + 1),
        rule: Some(index),
    })
}

fn declared(evidence: &Evidence, reaching: &[&Evidence]) -> Option<Choice> {
    Some(Choice {
        tag: evidence.tag.clone().or_else(|| reaching.iter().find_map(|e| e.tag.clone())),
        action: evidence.declared.action.clone()?,
        because: format!("spec line {}", evidence.declared.position.line),
        rule: None,
    })
}

fn unmatched(action: Action) -> Choice {
    let because = format!("unmatched: {action}");
    Choice { tag: None, action, because, rule: None }
}

/// Where the policy has nothing to say: tags without a rule, columns and source columns without a tag.
fn gaps(policy: &Policy, verdict: &Verdict, reaching: &[&Evidence]) -> Vec<String> {
    let mut gaps: Vec<String> = reaching
        .iter()
        .filter_map(|e| e.tag.as_ref())
        .filter(|tag| policy.rule_for(tag).is_none())
        .map(|tag| format!("no policy rule covers its tag {tag}"))
        .collect();
    let untagged = untagged_sources(verdict, reaching);
    let (itself, others): (Vec<&str>, Vec<&str>) =
        untagged.into_iter().partition(|source| *source == verdict.column);
    if !itself.is_empty() || is_itself_untagged(verdict, reaching) {
        gaps.push("it has no tag".to_owned());
    }
    let cannot_tell = verdict.origin == Origin::Unknown;
    if cannot_tell && !reaching.iter().any(|e| is_own(e) && e.tag.is_some()) {
        gaps.push("it has no tag, and the source columns it comes from cannot be told".to_owned());
    }
    if !others.is_empty() {
        let from = if cannot_tell { "it may come from" } else { "it comes from" };
        let (has, it) = if others.len() == 1 { ("has no tag", "it") } else { ("have no tags", "them") };
        gaps.push(format!("{from} `{}`, which {has}; declare {it} under `columns`", others.join("`, `")));
    }
    gaps
}

/// Whether the declaration is about the output column rather than about what it comes from.
fn is_own(evidence: &Evidence) -> bool {
    matches!(evidence.why, Why::Named | Why::Default)
}

/// Whether the column has no tag where only its own could give it one: it comes from nothing, or from
/// the source column of its name.
fn is_itself_untagged(verdict: &Verdict, reaching: &[&Evidence]) -> bool {
    let Origin::Columns(sources) = &verdict.origin else { return false };
    let mut named = reaching.iter().filter(|e| e.why == Why::Named).peekable();
    let is_named = named.peek().is_some();
    (sources.is_empty() && reaching.iter().all(|e| e.tag.is_none()))
        || (sources.contains(&verdict.column) && is_named && named.all(|e| e.tag.is_none()))
}

/// The source columns, and parts of one, that have no tag. A tag of the output column's own speaks for
/// the source column of its name only, the default for those that nothing declares.
fn untagged_sources<'a>(verdict: &'a Verdict, reaching: &[&'a Evidence]) -> Vec<&'a str> {
    let tagged = || reaching.iter().filter(|e| e.tag.is_some());
    let is_tagged = |name: &str| {
        tagged().any(|e| match &e.why {
            Why::Named => e.leaf.is_none() && is_within(name, &verdict.column),
            Why::From(around) => is_within(name, around),
            Why::Default => false,
        })
    };
    let declared = reaching.iter().filter_map(|e| match &e.why {
        Why::From(name) if !is_tagged(name) => Some(name.as_str()),
        _ => None,
    });
    let has_default = tagged().any(|e| e.why == Why::Default);
    let undeclared = undeclared(verdict, reaching).filter(|_| !has_default).map(String::as_str);
    declared.chain(undeclared).collect()
}

/// A spec may only strengthen. What it says of the column itself is held against everything the
/// policy asks of the column; what it says of a source column or by default, against that one's tag.
fn too_weak(
    policy: &Policy,
    leaf: &Leaf,
    reaching: &[&Evidence],
    policy_asks: &[Choice],
    problems: &mut Vec<String>,
) {
    for evidence in reaching {
        let Some(action) = &evidence.declared.action else { continue };
        let own = evidence.tag.as_ref().and_then(|tag| asked_for(policy, tag));
        let asked = match evidence.why {
            Why::Named => policy_asks.iter().max_by_key(|c| c.action.strength()).cloned(),
            Why::From(_) | Why::Default => own,
        };
        if let Some(asked) = asked.filter(|asked| action.strength() < asked.action.strength()) {
            let tag = asked.tag.map(|tag| format!(" for {tag}")).unwrap_or_default();
            problems.push(format!(
                "column `{}`: the spec asks `{action}` (line {}), the policy asks `{}`{tag} ({})",
                leaf.path,
                evidence.declared.position.line,
                asked.action,
                asked.because.trim_start_matches("policy "),
            ));
        }
    }
}

/// Whether the action hides a value only when it is whole.
const fn shows_parts(action: &Action) -> bool {
    matches!(action, Action::Mask(_) | Action::Scrub(_) | Action::Generalize(_) | Action::DateShift(_))
}

/// A mask hides a whole value, and `scrub` knows one by its whole text. Of pieces of it, each mask would show
/// the end of its piece, and the pieces can be put together. `generalize` keeps the beginning of a piece, or a bucket of
/// what was multiplied before, and dates that are moved otherwise in each computed column average out. So where a mask is asked for what the column comes from, it acts on an
/// unchanged copy only. What the spec asks for the computed column itself, on top of a policy that
/// would publish it as it is, can only hide more.
fn computed_mask(
    leaf: &Leaf,
    verdict: &Verdict,
    reaching: &[&Evidence],
    policy_asks: &[Choice],
    problems: &mut Vec<String>,
) {
    let by_policy = policy_asks.iter().find(|c| shows_parts(&c.action)).cloned();
    let of_source = || {
        let mut others = reaching.iter().filter(|e| e.why != Why::Named);
        others.find_map(|e| declared(e, reaching).filter(|c| shows_parts(&c.action)))
    };
    if verdict.copy_of.is_none()
        && let Some(asked) = by_policy.or_else(of_source)
    {
        problems.push(format!(
            "column `{}`: `{}` ({}) acts on a source column as it is, and this one is computed; declare `action: encrypt` or stronger for it, or select the source column unchanged",
            leaf.path, asked.action, asked.because
        ));
    }
}

/// The strictest choice; of equals the policy's, whose join domain a silent spec takes over.
fn strictest(
    leaf: &Leaf,
    policy_asks: &[Choice],
    spec_asks: &[Choice],
    problems: &mut Vec<String>,
) -> Option<Choice> {
    let strength = |c: &&Choice| c.action.strength();
    let most = policy_asks.iter().chain(spec_asks).map(|c| c.action.strength()).max()?;
    let mut equals: Vec<&Choice> = policy_asks.iter().filter(|c| strength(c) == most).collect();
    let is_policy = !equals.is_empty();
    let silent = |c: &&Choice| is_policy && c.action.is_bare();
    equals.extend(spec_asks.iter().filter(|c| strength(c) == most && !silent(c)));
    let (first, others) = equals.split_first()?;
    if let Some(other) = others.iter().find(|c| c.action.join_domain() != first.action.join_domain()) {
        let shown = |c: &Choice| match c.action.join_domain() {
            Some(domain) => format!("`{domain}` ({})", c.because),
            None => format!("none ({})", c.because),
        };
        let column = &leaf.path;
        problems.push(format!("column `{column}`: two join domains, {} and {}", shown(first), shown(other)));
        return None;
    }
    if let Some(other) = others.iter().find(|c| c.action != first.action) {
        let (column, action) = (&leaf.path, &first.action);
        problems.push(format!(
            "column `{column}`: `{action}` is asked with two kinds of options ({} and {}), of which neither is the stricter",
            first.because, other.because
        ));
        return None;
    }
    Some((*first).clone())
}
