//! (to be written)
use super::description::{Description, Linear};
/// Placeholder until the families land.
pub fn peft_module(_: &Description, layer: usize, linear: Linear) -> String {
    let name = match linear { Linear::Query => "self_attn.q_proj", Linear::Key => "self_attn.k_proj", Linear::Value => "self_attn.v_proj", Linear::Output => "self_attn.o_proj", Linear::Gate => "mlp.gate_proj", Linear::Up => "mlp.up_proj", Linear::Down => "mlp.down_proj", Linear::QueryKeyValue => "attention.query_key_value" };
    format!("model.layers.{layer}.{name}")
}
