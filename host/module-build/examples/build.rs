//! Builds a guest: `cargo run --example build -- guest/modules/delay_risk out.wasm`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, out] = &arguments[..] else { return Err("give the guest's folder and the file to write".into()) };
    let built = littoral_module_build::build(dir.as_ref())?;
    std::fs::write(out, &built.bytes)?;
    println!("{} {}: {} bytes", built.name, built.version, built.bytes.len());
    Ok(())
}
