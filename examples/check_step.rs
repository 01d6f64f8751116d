// Scratch: compares a step with a PyTorch/PEFT dump.
use safetensors::SafeTensors;
use std::{collections::HashMap, time::Instant};
use togi::model::{decoder::Decoder, description::*, lora::*, weights::*};
use togi::train::{batch::*, step::*};
struct Hf<'a>(SafeTensors<'a>);
fn f32s(st: &SafeTensors, n: &str) -> Result<Vec<f32>, TensorError> {
    let t = st.tensor(n).map_err(|e| TensorError(format!("{n}: {e}")))?;
    Ok(t.data().chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect())
}
impl TensorSource for Hf<'_> {
    fn tensor(&self, slot: Slot, shape: &[usize]) -> Result<Vec<f32>, TensorError> {
        let n = match slot {
            Slot::Embedding => "model.embed_tokens.weight".into(),
            Slot::FinalNorm => "model.norm.weight".into(),
            Slot::AttentionNorm(l) => format!("model.layers.{l}.input_layernorm.weight"),
            Slot::MlpNorm(l) => format!("model.layers.{l}.post_attention_layernorm.weight"),
            Slot::Weight(l, r) => format!("model.layers.{l}.{}.weight", name(r)),
            other => return Err(TensorError(format!("{other:?}"))),
        };
        let v = f32s(&self.0, &n)?;
        assert_eq!(v.len(), shape.iter().product::<usize>());
        Ok(v)
    }
    fn has(&self, _: Slot) -> bool {
        true
    }
}
fn name(r: Linear) -> &'static str {
    match r {
        Linear::Query => "self_attn.q_proj",
        Linear::Key => "self_attn.k_proj",
        Linear::Value => "self_attn.v_proj",
        Linear::Output => "self_attn.o_proj",
        Linear::Gate => "mlp.gate_proj",
        Linear::Up => "mlp.up_proj",
        Linear::Down => "mlp.down_proj",
        _ => unreachable!(),
    }
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let threads = std::env::var("T").ok().and_then(|s| s.parse().ok()).unwrap_or(2);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().unwrap();
    let d = Description {
        family: Family::Llama,
        vocab: 49152,
        hidden: 576,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        head_dim: 64,
        intermediate: 1536,
        context: 8192,
        norm: Norm::Rms { eps: 1e-5 },
        qk_norm: false,
        post_norms: false,
        parallel_residual: false,
        qkv_bias: false,
        output_bias: false,
        mlp_bias: false,
        gated_mlp: true,
        activation: Activation::Silu,
        tied: true,
        embedding_scale: 1.0,
        attention_scale: 0.125,
        rotary: Rotary { dims: 64, theta: 100000.0, scaling: RotaryScaling::None },
        local_rotary: None,
        window: None,
        local_layers: vec![],
        bos: None,
        eos: vec![2],
    };
    let buf = std::fs::read(&args[1]).unwrap();
    let decoder = Decoder::load(&Hf(SafeTensors::deserialize(&buf).unwrap()), &d).unwrap();
    drop(buf);
    let rbuf = std::fs::read(&args[2]).unwrap();
    let rf = SafeTensors::deserialize(&rbuf).unwrap();
    let ids = rf.tensor("ids").unwrap();
    let (b, s) = (ids.shape()[0], ids.shape()[1]);
    let i64s = |n: &str| -> Vec<i64> {
        rf.tensor(n).unwrap().data().chunks_exact(8).map(|c| i64::from_le_bytes(c.try_into().unwrap())).collect()
    };
    let (ids, labels) = (i64s("ids"), i64s("labels"));
    let config = LoraConfig {
        rank: 16,
        alpha: 32.0,
        dropout: 0.0,
        targets: vec![
            Linear::Query,
            Linear::Key,
            Linear::Value,
            Linear::Output,
            Linear::Gate,
            Linear::Up,
            Linear::Down,
        ],
        rslora: false,
    };
    let mut adapter = Adapter::zeros(&decoder, &config);
    let tensors = adapter.tensors(&d);
    for t in &tensors {
        let key = format!("p.{}", t.name.replace("base_model.model.", ""));
        adapter.values[t.range.clone()].copy_from_slice(&f32s(&rf, &key).unwrap());
    }
    let rows: Vec<Row> = (0..b)
        .map(|i| Row {
            tokens: ids[i * s..(i + 1) * s].iter().map(|&x| x as u32).collect(),
            weights: labels[i * s..(i + 1) * s].iter().map(|&x| if x >= 0 { 1.0 } else { 0.0 }).collect(),
        })
        .collect();
    let refs: Vec<&Row> = rows.iter().collect();
    let packed = Packed::new(&refs, true);
    println!("packed {} tokens of {}", packed.tokens.len(), b * s);
    let mut engine = Engine::new();
    let mut g = vec![0f32; adapter.values.len()];
    let drop = std::env::var("DROP").ok().map(|p| (p.parse().unwrap(), [1, 2, 3]));
    for i in 0..6 {
        g.fill(0.0);
        let t0 = Instant::now();
        let o = Options {
            scale: 1.0 / packed.predicting.len() as f32,
            recompute: std::env::var("CKPT").is_ok(),
            dropout: drop,
        };
        let l = engine.step(&decoder, Some(&adapter), &packed, o, Sink::Adapter(&mut g));
        let dt = t0.elapsed().as_secs_f64();
        let loss = l.sum(&packed) / packed.predicting.len() as f64;
        println!("step {i}: loss {loss:.7} ref {:.7}  {:.1} tok/s", f32s(&rf, "loss").unwrap()[0], (b * s) as f64 / dt);
    }
    let (mut num, mut den, mut worst) = (0f64, 0f64, (0f64, String::new()));
    for t in &tensors {
        let want = f32s(&rf, &format!("g.{}", t.name.replace("base_model.model.", ""))).unwrap();
        let (mut n1, mut d1) = (0f64, 0f64);
        for (a, b) in g[t.range.clone()].iter().zip(&want) {
            n1 += (f64::from(*a) - f64::from(*b)).powi(2);
            d1 += f64::from(*b).powi(2);
        }
        num += n1;
        den += d1;
        let e = (n1 / d1).sqrt();
        if e > worst.0 {
            worst = (e, t.name.clone());
        }
    }
    println!("gradient relative error {:.2e}, worst {:.2e} ({})", (num / den).sqrt(), worst.0, worst.1);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap());
    let _ = HashMap::<u8, u8>::new();
}
