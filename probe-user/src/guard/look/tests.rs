use super::{super::standing::Seen, *};
use crate::verdict::Reach;

const HERE: &str = "http://ams";
const THERE: &str = "http://nyc";

/// Two agents, of which nothing was heard. Their tasks ask nobody as long as the test waits for nothing.
fn agents() -> Agents {
    let mut agents = Agents::new(Duration::from_secs(1));
    agents.ask(&[HERE, THERE]);
    agents
}

fn targets() -> Targets {
    let text = format!(
        "target = [{{ name = \"nyc\", address = \"nyc:7\", region = \"nyc\", agent = {THERE:?} }}]"
    );
    Targets::parse(&text, "targets").unwrap()
}

/// An agent of a region that reaches another, or none at all.
fn view(region: &str, reaches: &str, isolated: bool) -> View {
    View {
        node: format!("{region}1"),
        region: region.to_owned(),
        isolated_since: isolated.then_some(1.0),
        regions: vec![Seen { name: reaches.to_owned(), reach: Reach::Reachable }],
    }
}

fn hear(agents: &mut Agents, url: &str, outcome: Result<View, &str>, now: Nanos) {
    let outcome = outcome.map_err(str::to_owned);
    agents.take(Heard { url: url.to_owned(), outcome }, now);
}

/// What is seen of the target a moment after the agent here has answered.
fn seen(agents: &mut Agents, now: Nanos) -> Look {
    hear(agents, HERE, Ok(view("ams", "nyc", false)), now);
    agents.look(HERE, &targets(), now).0
}

fn only(standing: Standing) -> Look {
    Look::Standings(vec![standing])
}

#[tokio::test]
async fn what_an_agent_elsewhere_said_last_holds_for_thirty_seconds() {
    for then in [None, Some("is gone")] {
        let mut agents = agents();
        hear(&mut agents, THERE, Ok(view("nyc", "ams", true)), 0);
        if let Some(error) = then {
            hear(&mut agents, THERE, Err(error), SECOND);
        }
        assert_eq!(seen(&mut agents, MEMORY), only(Standing::CutOff), "{then:?}");
        assert_eq!(seen(&mut agents, MEMORY + 1), only(Standing::Reachable), "{then:?}");
        // One that answers anew is believed anew.
        hear(&mut agents, THERE, Ok(view("nyc", "ams", true)), MEMORY + 2);
        assert_eq!(seen(&mut agents, MEMORY + 2), only(Standing::CutOff), "{then:?}");
    }
}

#[tokio::test]
async fn the_agent_here_is_silent_when_it_fails_or_does_not_answer_for_ten_seconds() {
    let (mut agents, targets) = (agents(), targets());
    assert_eq!(agents.look(HERE, &targets, 0).0, Look::Silent);
    assert_eq!(seen(&mut agents, SECOND), only(Standing::Reachable));
    let last = SECOND + FRESH;
    assert_eq!(agents.look(HERE, &targets, last), (only(Standing::Reachable), SECOND));
    assert_eq!(agents.look(HERE, &targets, last + 1), (Look::Silent, last + 1));

    assert_eq!(seen(&mut agents, last), only(Standing::Reachable));
    hear(&mut agents, HERE, Err("is gone"), last);
    assert_eq!(agents.look(HERE, &targets, last).0, Look::Silent);
    assert_eq!(agents.here(HERE, last), Err("is gone"));

    hear(&mut agents, HERE, Ok(view("ams", "nyc", true)), last + 1);
    assert_eq!(agents.look(HERE, &targets, last + 2), (Look::SelfIsolated, last + 1));
}

#[tokio::test]
async fn an_agent_of_another_region_is_not_believed() {
    let (mut agents, targets) = (agents(), targets());
    hear(&mut agents, THERE, Ok(view("sin", "ams", true)), 0);
    assert_eq!(seen(&mut agents, 0), only(Standing::Reachable));
    assert_eq!(agents.is_elsewhere(&targets.list[0]), Some("sin"));
    let problem = agents.there(&targets.list[0], 0).unwrap_err();
    assert_eq!(problem, "http://nyc is an agent of sin, not of nyc");
}

#[tokio::test]
async fn who_is_asked_no_longer_is_forgotten() {
    let mut agents = agents();
    hear(&mut agents, THERE, Ok(view("nyc", "ams", true)), 0);
    assert_eq!(seen(&mut agents, 0), only(Standing::CutOff));
    assert!(agents.has_heard_all());

    agents.ask(&[HERE]);
    // The answer to a question that was under way.
    hear(&mut agents, THERE, Ok(view("nyc", "ams", true)), 0);
    assert!(!agents.has_heard(THERE));
    assert_eq!(seen(&mut agents, 0), only(Standing::Reachable));

    agents.ask(&[HERE, THERE]);
    assert_eq!(seen(&mut agents, 0), only(Standing::Reachable));
    assert!(agents.has_heard(HERE) && !agents.has_heard_all());
}
