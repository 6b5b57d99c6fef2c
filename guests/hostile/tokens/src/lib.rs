//! Asks for more tokens, generations and settings than there are.
//!
//! Arguments: `ATTACK`, or `list`.

mod generations;
mod prompts;
mod settings;

crowbar::family! {
    Tokens(_words):
    "max-tokens" => settings::max_tokens().await,
    "endless" => generations::endless().await,
    "total" => generations::total().await,
    "generations" => generations::generations().await,
    "parallel" => generations::parallel().await,
    "parallel-unread" => generations::parallel_unread().await,
    "dropped-halfway" => generations::dropped_halfway().await,
    "cancelled" => generations::cancelled().await,
    "cancelled-often" => generations::cancelled_often().await,
    "empty-prompt" => prompts::empty().await,
    "nasty-prompt" => prompts::nasty().await,
    "long-prompt" => prompts::long().await,
    "long-shift" => prompts::long_shift().await,
    "history" => prompts::history().await,
    "forked-history" => prompts::forked_history().await,
    "odd-roles" => prompts::odd_roles().await,
    "many-turns" => prompts::many_turns().await,
    "prompt-tokens" => prompts::prompt_tokens().await,
    "count-tokens" => prompts::count_tokens().await,
    "embed" => prompts::embed().await,
    "nan" => settings::nan().await,
    "infinite" => settings::infinite().await,
    "zero" => settings::zero().await,
    "seeds" => settings::seeds().await,
    "extremes" => settings::extremes().await,
    "logprobs" => settings::logprobs().await,
    "stop-texts" => settings::stop_texts().await,
    "stop-everything" => settings::stop_everything().await,
    "logit-bias" => settings::logit_bias().await,
    "logit-bias-often" => settings::logit_bias_often().await,
    "settings" => settings::settings().await,
}
