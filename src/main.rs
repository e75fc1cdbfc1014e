fn main() {
    println!("terrarium");
}
