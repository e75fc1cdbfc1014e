//! What the student predicted, and what happened.

use serde::Deserialize;

use super::{Eyes, Finding, Look, Needs};

/// `predicted: QUESTION`: the student's answer equals what happened in the student's own run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Predicted(pub String);

impl From<String> for Predicted {
    fn from(question: String) -> Self {
        Self(question)
    }
}

impl Look for Predicted {
    fn look(&self, eyes: &Eyes) -> Finding {
        let finding = |passed, saw| Finding::new("predicted", passed, saw).with("question", &self.0);
        let Some(question) = eyes.questions.iter().find(|q| q.id == self.0) else {
            return finding(false, "unknown");
        };
        let Some(answer) = eyes.answers.get(&self.0) else { return finding(false, "unanswered") };
        match question.answer.find(eyes) {
            None => finding(false, "open").with("answer", answer),
            Some(truth) if truth == *answer => finding(true, "right").with("answer", answer).with("truth", truth),
            Some(truth) => finding(false, "wrong").with("answer", answer).with("truth", truth),
        }
    }

    fn needs(&self, needs: &mut Needs) {
        needs.questions.push(self.0.clone());
    }
}
