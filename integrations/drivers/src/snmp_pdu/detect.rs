//! Finds out which model answers.

use async_snmp::oid;
use rackhand_wire::{Fault, Reason};

use super::line::{Line, Voice};
use super::model::{self, Cells, Model};

/// Finds the model of the device on `line`: the sysObjectID chooses the candidates, their outlet tables decide.
///
/// # Errors
/// `ModelAmbiguous` with the models to choose from when none or several answer: a model is never guessed.
pub(super) async fn model(line: &mut Line) -> Result<&'static Model, Fault> {
    let object_id = line.get_one(Voice::Read, &oid!(1, 3, 6, 1, 2, 1, 1, 2, 0)).await?;
    let object_id = object_id.as_ref().and_then(|value| value.as_oid().cloned());
    let fitting = |model: &&Model| object_id.as_ref().is_some_and(|id| model.fits(id));
    let mut candidates: Vec<&'static Model> = model::all().iter().filter(fitting).collect();
    if candidates.is_empty() {
        candidates = model::all().iter().collect();
    }
    let mut answered = Vec::new();
    for candidate in &candidates {
        if has_outlets(line, candidate).await? {
            answered.push(*candidate);
        }
    }
    decide(&candidates, &answered)
}

/// Asks whether the model's table of outlet states is there.
async fn has_outlets(line: &mut Line, model: &Model) -> Result<bool, Fault> {
    match model.cells {
        Cells::Rows => line.has_rows(&model.state.column).await,
        Cells::Scalars(_) => {
            let first = model.cell(&model.state.column, &[1]);
            Ok(line.get_one(Voice::Read, &first).await?.is_some())
        }
    }
}

/// Takes the one model that is left; which of several or none it is, a person says.
fn decide(candidates: &[&'static Model], answered: &[&'static Model]) -> Result<&'static Model, Fault> {
    let best = most_specific(answered);
    match best.as_slice() {
        [only] => Ok(only),
        [] => Err(none_answers(candidates)),
        several => Err(several_answer(several)),
    }
}

/// Leaves out every model whose tables another one answers only for compatibility.
fn most_specific(answered: &[&'static Model]) -> Vec<&'static Model> {
    let is_superseded =
        |model: &&Model| answered.iter().any(|other| other.supersedes.iter().any(|key| key == model.key));
    answered.iter().copied().filter(|model| !is_superseded(model)).collect()
}

fn none_answers(candidates: &[&'static Model]) -> Fault {
    if candidates.len() == model::all().len() {
        let detail =
            "the device is of no known make and has no known table of outlets; choose the model by hand";
        return Fault::config(Reason::ModelAmbiguous, detail);
    }
    let vendor = candidates.first().map_or("a PDU", |model| model.vendor.as_str());
    let why = format!(
        "the device calls itself {vendor} but has no table of switched outlets; choose the model by hand"
    );
    one_of(candidates, &why)
}

fn several_answer(several: &[&'static Model]) -> Fault {
    one_of(several, "several models fit; choose one by hand")
}

fn one_of(models: &[&'static Model], why: &str) -> Fault {
    let detail = format!("{why}: {}", titles(models));
    let keys = models.iter().map(|model| model.key);
    Fault::config(Reason::ModelAmbiguous, detail).settled_by("model", keys)
}

fn titles(models: &[&Model]) -> String {
    models.iter().map(|model| model.title.as_str()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackhand_wire::FaultCode;
    use std::collections::BTreeSet;

    fn models(keys: &[&str]) -> Vec<&'static Model> {
        keys.iter().map(|key| model::find(key).unwrap()).collect()
    }

    fn every_model() -> Vec<&'static Model> {
        model::all().iter().collect()
    }

    fn best(keys: &[&str]) -> Vec<&'static str> {
        most_specific(&models(keys)).into_iter().map(|model| model.key).collect()
    }

    /// Finds the keys of those that are offered by name and as settings, where none is taken.
    fn offered(candidates: &[&'static Model], answered: &[&'static Model]) -> Vec<&'static str> {
        let fault = decide(candidates, answered).unwrap_err();
        assert_eq!((fault.code, fault.reason), (FaultCode::Config, Reason::ModelAmbiguous));
        let is_named = |model: &&Model| fault.detail.contains(model.title.as_str());
        let named: Vec<_> = model::all().iter().filter(is_named).map(|model| model.key).collect();
        let choices: BTreeSet<_> =
            fault.choices.iter().map(|choice| (choice.field.as_str(), choice.value.as_str())).collect();
        assert_eq!(choices, named.iter().map(|key| ("model", *key)).collect());
        named
    }

    #[test]
    fn the_newest_apc_tree_that_answers_wins() {
        assert_eq!(best(&["apc_spdu"]), ["apc_spdu"]);
        assert_eq!(best(&["apc_spdu", "apc_rpdu"]), ["apc_rpdu"]);
        assert_eq!(best(&["apc_spdu", "apc_rpdu", "apc_rpdu2"]), ["apc_rpdu2"]);
    }

    #[test]
    fn models_that_say_nothing_of_each_other_tie() {
        assert_eq!(best(&["apc_rpdu2", "apc_cpdu"]), ["apc_rpdu2", "apc_cpdu"]);
    }

    #[test]
    fn of_several_that_answer_and_tie_each_is_offered_and_none_is_taken() {
        let apc = models(&["apc_spdu", "apc_rpdu", "apc_rpdu2", "apc_cpdu"]);
        assert_eq!(decide(&apc, &models(&["apc_spdu", "apc_rpdu2"])).unwrap().key, "apc_rpdu2");
        assert_eq!(offered(&apc, &apc), ["apc_rpdu2", "apc_cpdu"]);
        let strangers = models(&["raritan_px2", "eaton_g3"]);
        assert_eq!(offered(&every_model(), &strangers), ["raritan_px2", "eaton_g3"]);
    }

    #[test]
    fn where_none_answers_those_of_the_make_are_offered_and_none_is_taken() {
        let apc = ["apc_spdu", "apc_rpdu", "apc_rpdu2", "apc_cpdu"];
        assert_eq!(offered(&models(&apc), &[]), apc);
        assert!(offered(&every_model(), &[]).is_empty(), "of an unknown make it may be any");
    }
}
