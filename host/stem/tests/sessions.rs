//! Conversations: one generation at a time, bounded, forked, and gone with their model.

mod support;

use futures::StreamExt;
use rusty_genius_core::{
    BudgetError, BudgetResource, CortexStrategy, FinishReason, GeniusError, HISTORY_LIMIT,
    PartialBehavior, PartialConfig, ProtocolError, Role, Turn,
};
use rusty_genius_cortex::RawEnd;
use support::backend::{end, token};
use support::{HIBERNATE, House, IDLE, answer, ask, finish, run, soon};

fn is_busy<T>(result: Result<T, GeniusError>) -> bool {
    matches!(result, Err(GeniusError::Protocol(ProtocolError::Busy)))
}

#[test]
fn a_session_generates_one_answer_at_a_time() {
    run(async {
        let house = House::new();
        let tokens = house.engine.gate_tokens();
        let session = house.session(CortexStrategy::KeepAlive);
        let inference = ask(&session, "one").await.unwrap();
        assert!(is_busy(ask(&session, "two").await));
        assert!(is_busy(ask(&session.clone(), "three").await));
        tokens.send(end(RawEnd::Stop)).await.unwrap();
        tokens.send(end(RawEnd::Stop)).await.unwrap();
        finish(inference).await;
        assert_eq!(answer(&session, "four").await, FinishReason::Stop);
    });
}

#[test]
fn a_request_that_makes_no_sense_is_refused_and_leaves_the_session_free() {
    run(async {
        let mut house = House::new();
        let session = house.session(CortexStrategy::KeepAlive);
        assert!(matches!(
            session.infer(Vec::new(), PartialConfig::default()).await,
            Err(GeniusError::Protocol(ProtocolError::NoTurns))
        ));
        let config = PartialConfig {
            behavior: PartialBehavior {
                max_tokens: Some(0),
                ..PartialBehavior::default()
            },
            ..PartialConfig::default()
        };
        assert!(matches!(
            session.infer(vec![Turn::user("Narf?")], config).await,
            Err(GeniusError::Protocol(ProtocolError::Config(_)))
        ));
        assert_eq!(house.journal.seen(), []);
        assert_eq!(answer(&session, "Narf?").await, FinishReason::Stop);
    });
}

#[test]
fn a_session_keeps_no_more_than_its_limit() {
    run(async {
        let house = House::new();
        let session = house.session(CortexStrategy::KeepAlive);
        let limit = usize::try_from(HISTORY_LIMIT).unwrap();
        let spent = GeniusError::Budget(BudgetError {
            resource: BudgetResource::History,
            limit: HISTORY_LIMIT,
        });
        let too_much = "x".repeat(limit + 1);
        assert_eq!(ask(&session, &too_much).await.err(), Some(spent.clone()));
        assert_eq!(house.engine.loads(), 0);

        assert_eq!(answer(&session, &too_much[1..]).await, FinishReason::Stop);
        assert_eq!(ask(&session, "").await.err(), Some(spent.clone()));
        let fork = session.fork().unwrap();
        assert_eq!(fork.turns(), session.turns());
        assert_eq!(ask(&fork, "").await.err(), Some(spent));
    });
}

#[test]
fn a_fork_begins_with_the_history_and_goes_its_own_way() {
    run(async {
        let house = House::new();
        let session = house.session(CortexStrategy::KeepAlive);
        answer(&session, "one").await;
        let fork = session.fork().unwrap();
        assert_eq!(fork.turns(), session.turns());
        assert_eq!(house.engine.sessions(), 2, "the engine's place is forked");

        // Both at once: they share nothing any more.
        let (left, right) = (
            ask(&session, "left").await.unwrap(),
            ask(&fork, "right").await.unwrap(),
        );
        finish(left).await;
        finish(right).await;
        let said = |turns: Vec<Turn>| {
            let said: Vec<_> = turns.into_iter().map(|t| t.content).collect();
            said.join(" ")
        };
        assert_eq!(said(session.turns()), "one Poit. left Poit.");
        assert_eq!(said(fork.turns()), "one Poit. right Poit.");
        drop(fork);
        assert_eq!(house.engine.sessions(), 1);
    });
}

#[test]
fn a_tool_call_stays_in_the_history_as_the_model_spelled_it() {
    run(async {
        let house = House::new();
        let tokens = house.engine.gate_tokens();
        let session = house.session(CortexStrategy::KeepAlive);
        let inference = ask(&session, "Rain?").await.unwrap();
        // Cut anywhere, in the model's own order and white space, after a thought.
        let spelled = "Let me see. <tool_call>\n{\"arguments\": {\"city\" : \"Oslo\"},  \
                       \"name\": \"weather\"}\n</tool_call>";
        let (one, rest) = spelled.split_at(20);
        let (two, three) = rest.split_at(rest.len() - 5);
        for text in ["<think>hm</think>", one, two, three] {
            tokens.send(token(text)).await.unwrap();
        }
        tokens.send(end(RawEnd::Stop)).await.unwrap();
        assert_eq!(finish(inference).await, FinishReason::ToolCall);

        let result = Turn::new(Role::Tool, "{\"rain\": true}");
        let config = PartialConfig::default();
        let inference = soon(session.infer(vec![result.clone()], config)).await;
        tokens.send(token("Yes.")).await.unwrap();
        tokens.send(end(RawEnd::Stop)).await.unwrap();
        assert_eq!(finish(inference.unwrap()).await, FinishReason::Stop);
        let said = [
            Turn::user("Rain?"),
            Turn::new(Role::Assistant, spelled),
            result,
        ];
        assert_eq!(house.engine.prompts()[1], said);
    });
}

#[test]
fn a_session_is_not_forked_while_it_generates() {
    run(async {
        let house = House::new();
        let tokens = house.engine.gate_tokens();
        let session = house.session(CortexStrategy::KeepAlive);
        let mut inference = ask(&session, "one").await.unwrap();
        tokens.send(token("Po")).await.unwrap();
        assert!(inference.next().await.is_some());
        assert!(is_busy(session.fork()));
        drop(inference);
        assert_eq!(session.fork().unwrap().turns(), []);
    });
}

#[test]
fn a_fork_made_while_the_model_is_away_begins_with_the_history_too() {
    run(async {
        let mut house = House::new();
        let session = house.session(CortexStrategy::Immediate);
        answer(&session, "one").await;
        house.journal.unloaded().await;
        let fork = session.fork().unwrap();
        assert_eq!(house.engine.sessions(), 0);
        answer(&fork, "two").await;
        assert_eq!(house.engine.prompts()[1].len(), 3);
    });
}

#[test]
fn an_unloaded_model_leaves_no_session_and_no_fork_behind() {
    run(async {
        let mut house = House::new();
        let mut sessions: Vec<_> = (0..10).map(|_| house.session(HIBERNATE)).collect();
        // Idle once, at the end.
        let lease = house.lease(sessions[0].model()).await.unwrap();
        for session in &sessions {
            answer(session, "one").await;
        }
        let forks: Vec<_> = sessions.iter().map(|s| s.fork().unwrap()).collect();
        let forks_of_forks: Vec<_> = forks.iter().map(|s| s.fork().unwrap()).collect();
        assert_eq!(house.engine.sessions(), 30);
        sessions.truncate(5);
        assert_eq!(house.engine.sessions(), 25);

        drop(lease);
        house.sleeps_until(IDLE).await;
        house.time.advance(IDLE);
        house.journal.unloaded().await;
        assert_eq!((house.engine.sessions(), house.engine.models()), (0, 0));
        for session in sessions.iter().chain(&forks).chain(&forks_of_forks) {
            answer(session, "two").await;
        }
        assert_eq!((house.engine.sessions(), house.engine.loads()), (25, 2));
    });
}

#[test]
fn a_fork_while_the_model_goes_keeps_no_place_in_it() {
    run(async {
        for _ in 0..100 {
            let mut house = House::new();
            let session = house.session(HIBERNATE);
            answer(&session, "one").await;
            house.sleeps_until(IDLE).await;
            let parent = session.clone();
            let forking = async_std::task::spawn_blocking(move || {
                (0..20).map(|_| parent.fork().unwrap()).collect::<Vec<_>>()
            });
            std::thread::yield_now();
            house.time.advance(IDLE);
            house.journal.unloaded().await;
            let forks = soon(forking).await;
            assert_eq!(house.engine.sessions(), 0);
            assert!(forks.iter().all(|fork| fork.turns().len() == 2));
        }
    });
}
