use super::*;

#[tokio::test]
async fn a_script_is_called_and_loaded_where_it_is_not_known() {
    let server = RedisServer::start(&[]);
    let link = open(&server.url()).await;
    assert_eq!(append(&link, "k", "a").await.unwrap(), "a");
    let _: String = server.ask(&["SCRIPT", "FLUSH"]);
    assert_eq!(append(&link, "k", "b").await.unwrap(), "a,b");
}

#[tokio::test]
async fn bytes_go_and_come_as_they_are() {
    let server = RedisServer::start(&[]);
    let link = open(&server.url()).await;
    let all: Vec<u8> = (0..=255).chain(*b"\r\n$3\r\n").collect();
    static LAST: LazyLock<Script> = LazyLock::new(|| Script::new(&["return ARGV[#ARGV]"]));
    let answer = link.call(&LAST, &["k".to_owned()], vec![Vec::new(), all.clone()]).await;
    assert_eq!(answer.unwrap(), all);
}

#[tokio::test]
async fn an_error_of_the_script_is_told_as_that() {
    let server = RedisServer::start(&[]);
    let link = open(&server.url()).await;
    let error = append(&link, "k", "fail").await.unwrap_err();
    assert_eq!(error, CallError::Script("ERR asked to".to_owned()));
    let error = append(&link, "k", "other").await.unwrap_err();
    assert!(matches!(&error, CallError::Script(said) if said.starts_with("WRONGTYPE")), "{error}");
}
