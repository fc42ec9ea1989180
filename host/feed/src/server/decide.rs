//! How a subscriber is brought up to date.

use littoral_model::{
    position::{Lsn, Position},
    record::ChainHash,
};
use littoral_protocol::frame::{Mode, Resume};

/// Tail, when the subscriber stands on this very log and the records behind its position are still there; a snapshot
/// for anything else. `chain_there` is the hash that this log has at the subscriber's position, `oldest_there` whether
/// the record behind it is still in the log. What was trimmed must never look like a harmless gap, and a subscriber
/// ahead of us, or beside us after a log was lost, holds records that nobody else has.
pub(crate) fn mode(
    resume: Option<Resume>,
    head: Position,
    chain_there: Option<ChainHash>,
    next_is_there: bool,
) -> Mode {
    let Some(resume) = resume else { return Mode::Snapshot };
    let same_log = resume.position.incarnation == head.incarnation && resume.position.lsn <= head.lsn;
    let chain = if resume.position.lsn == Lsn::NONE { Some(ChainHash::GENESIS) } else { chain_there };
    if same_log && chain == Some(resume.chain) && next_is_there { Mode::Tail } else { Mode::Snapshot }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::position::Incarnation;

    fn at(incarnation: u64, lsn: u64) -> Position {
        Position { incarnation: Incarnation(incarnation), lsn: Lsn(lsn) }
    }

    #[test]
    fn only_a_subscriber_on_this_very_log_gets_its_tail() {
        let resume = Resume { position: at(7, 5), chain: ChainHash(55) };
        let there = Some(ChainHash(55));
        assert_eq!(mode(Some(resume), at(7, 9), there, true), Mode::Tail);
        assert_eq!(mode(Some(resume), at(7, 5), there, true), Mode::Tail);
        for (what, resume, head, chain, next) in [
            ("nothing yet", None, at(7, 9), there, true),
            ("another log", Some(resume), at(8, 9), there, true),
            ("ahead of us", Some(resume), at(7, 4), there, true),
            ("beside us", Some(resume), at(7, 9), Some(ChainHash(56)), true),
            ("its record is gone", Some(resume), at(7, 9), None, true),
            ("the next is gone", Some(resume), at(7, 9), there, false),
        ] {
            assert_eq!(mode(resume, head, chain, next), Mode::Snapshot, "{what}");
        }
    }

    #[test]
    fn an_empty_subscriber_of_an_untrimmed_log_may_begin_at_its_beginning() {
        let resume = Resume { position: at(7, 0), chain: ChainHash::GENESIS };
        assert_eq!(mode(Some(resume), at(7, 9), None, true), Mode::Tail);
        assert_eq!(mode(Some(resume), at(7, 9), None, false), Mode::Snapshot);
    }
}
