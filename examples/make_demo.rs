fn main() {
    let a: Vec<String> = std::env::args().collect();
    let length = togi::actions::demo::make::Length { pages: a[2].parse().unwrap(), epochs: a[3].parse().unwrap() };
    let control = togi::job::Control::new();
    let t0 = std::time::Instant::now();
    let out = togi::actions::demo::make::make(std::path::Path::new(&a[1]), length, 2, &control, &mut |e| match e {
        togi::worker::Event::Metrics(m) if m.valid_loss.is_some() || m.step % 50 == 1 => eprintln!(
            "{:.0}s step {} loss {:?} valid {:?} tok {} ({:.0}/s) norm {:?}",
            t0.elapsed().as_secs_f64(),
            m.step,
            m.loss,
            m.valid_loss,
            m.tokens,
            m.tokens as f64 / m.seconds,
            m.gradient_norm
        ),
        togi::worker::Event::Note(n) => eprintln!("{n}"),
        _ => {}
    });
    eprintln!("{out:?}");
}
