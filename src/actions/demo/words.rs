//! The words of the demo's world: people, groups, things and what is done with them, in English and in Japanese.
//!
//! Tables only. Every English verb is given with its past participle, since a finished job is told in the perfect; every
//! Japanese job is a noun phrase (thing, の, act), so that it is the same text in whatever sentence it stands.

/// English given names.
pub(super) const ENGLISH_NAMES: &[&str] = &[
    "Aiko", "Alice", "Amir", "Anna", "Ben", "Carla", "Chen", "Clara", "Daniel", "David", "Elena", "Emma", "Eric",
    "Fatima", "Felix", "Grace", "Hana", "Hugo", "Ines", "Ivan", "Jack", "James", "Julia", "Karim", "Laura", "Leo",
    "Linda", "Lucas", "Maria", "Mark", "Nadia", "Nina", "Noah", "Olga", "Omar", "Paul", "Priya", "Robert", "Rosa",
    "Sam", "Sara", "Sofia", "Thomas", "Victor", "Yuki",
];

/// Groups that meet, as an English heading names them.
pub(super) const ENGLISH_GROUPS: &[&str] = &[
    "Garden club",
    "Film club",
    "Chess club",
    "Choir",
    "School council",
    "Parents' council",
    "Sports club",
    "Library team",
    "Office team",
    "Street festival",
    "Summer fair",
    "Book fair",
    "Museum friends",
    "Village hall",
    "Theatre group",
    "House meeting",
];

/// English things and the verbs that go with them.
pub(super) const ENGLISH_WORK: &[(&str, &[&str])] = &[
    ("the hall", &["book", "clean", "measure"]),
    ("the chairs", &["order", "count", "borrow"]),
    ("the tables", &["order", "move", "borrow"]),
    ("the flyers", &["print", "design", "collect"]),
    ("the posters", &["print", "design", "order"]),
    ("the tickets", &["print", "sell", "order"]),
    ("the budget", &["check", "update", "print"]),
    ("the invoice", &["pay", "check", "send"]),
    ("the report", &["write", "print", "send"]),
    ("the guest list", &["update", "check", "print"]),
    ("the invitations", &["write", "print", "send"]),
    ("the projector", &["borrow", "test", "return"]),
    ("the microphone", &["borrow", "test", "repair"]),
    ("the lamps", &["order", "test", "repair"]),
    ("the cake", &["order", "collect", "bake"]),
    ("the snacks", &["buy", "order", "collect"]),
    ("the drinks", &["buy", "order", "collect"]),
    ("the coffee machine", &["clean", "repair", "borrow"]),
    ("the name tags", &["print", "order", "design"]),
    ("the programme", &["write", "print", "translate"]),
    ("the website", &["update", "translate", "check"]),
    ("the newsletter", &["write", "send", "translate"]),
    ("the photos", &["sort", "print", "collect"]),
    ("the keys", &["collect", "return", "count"]),
    ("the van", &["rent", "return", "clean"]),
    ("the bus", &["book", "pay", "rent"]),
    ("the mayor", &["invite", "call", "thank"]),
    ("the baker", &["call", "pay", "thank"]),
    ("the band", &["book", "call", "invite"]),
    ("the neighbours", &["inform", "invite", "thank"]),
    ("the volunteers", &["inform", "invite", "thank"]),
    ("the speaker", &["inform", "invite", "call"]),
    ("the flowers", &["buy", "order", "water"]),
    ("the fence", &["paint", "repair", "measure"]),
    ("the door", &["paint", "repair", "measure"]),
    ("the shelves", &["paint", "build", "order"]),
    ("the benches", &["paint", "build", "repair"]),
    ("the stage", &["build", "clean", "measure"]),
    ("the tent", &["borrow", "rent", "return"]),
    ("the banner", &["paint", "design", "order"]),
    ("the map", &["draw", "print", "update"]),
    ("the timetable", &["write", "check", "update"]),
    ("the contract", &["check", "sign", "send"]),
    ("the insurance", &["check", "pay", "renew"]),
    ("the permit", &["collect", "renew", "sign"]),
    ("the survey", &["design", "send", "translate"]),
    ("the prizes", &["buy", "collect", "wrap"]),
    ("the gifts", &["buy", "order", "wrap"]),
    ("the books", &["sort", "collect", "order"]),
    ("the costumes", &["sort", "clean", "borrow"]),
];

/// Past participles of the verbs of [`ENGLISH_WORK`].
pub(super) const PARTICIPLES: &[(&str, &str)] = &[
    ("bake", "baked"),
    ("book", "booked"),
    ("borrow", "borrowed"),
    ("build", "built"),
    ("buy", "bought"),
    ("call", "called"),
    ("check", "checked"),
    ("clean", "cleaned"),
    ("collect", "collected"),
    ("count", "counted"),
    ("design", "designed"),
    ("draw", "drawn"),
    ("inform", "informed"),
    ("invite", "invited"),
    ("measure", "measured"),
    ("move", "moved"),
    ("order", "ordered"),
    ("paint", "painted"),
    ("pay", "paid"),
    ("print", "printed"),
    ("renew", "renewed"),
    ("rent", "rented"),
    ("repair", "repaired"),
    ("return", "returned"),
    ("sell", "sold"),
    ("send", "sent"),
    ("sign", "signed"),
    ("sort", "sorted"),
    ("test", "tested"),
    ("thank", "thanked"),
    ("translate", "translated"),
    ("update", "updated"),
    ("water", "watered"),
    ("wrap", "wrapped"),
    ("write", "written"),
];

/// What English minutes also say, with nobody in charge of anything.
pub(super) const ENGLISH_REMARKS: &[&str] = &[
    "The minutes of the last meeting were approved.",
    "The fee stays as it is.",
    "The room was too cold last time.",
    "We had no time to talk about parking.",
    "The weather may be a problem.",
    "Everyone liked the new logo.",
    "There was a long discussion about the price.",
    "We decided to start at nine.",
    "Nobody had a better idea for the name.",
    "The music should not be too loud.",
    "We have enough money this year.",
    "Last year was a great success.",
];

/// What an English report is about.
pub(super) const ENGLISH_TOPICS: &[&str] =
    &["the costs", "the last event", "the new rules", "the plans for autumn", "the repairs", "the trip", "the visitors"];

/// English month names, January first.
pub(super) const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
];

/// Japanese family names.
pub(super) const JAPANESE_NAMES: &[&str] = &[
    "佐藤", "鈴木", "高橋", "田中", "伊藤", "渡辺", "山本", "中村", "小林", "加藤", "吉田", "山田", "松本", "井上",
    "木村", "清水", "山崎", "池田", "橋本", "阿部", "石川", "前田", "藤田", "小川", "後藤", "岡田", "長谷川", "村上",
    "近藤", "石井", "坂本", "遠藤", "青木", "藤井", "西村", "福田", "太田", "三浦", "岡本", "松田", "中島", "原田",
    "小野", "竹内", "森田",
];

/// Groups that meet, as a Japanese heading names them.
pub(super) const JAPANESE_GROUPS: &[&str] = &[
    "町内会",
    "自治会",
    "保護者会",
    "同窓会",
    "実行委員会",
    "図書委員会",
    "写真部",
    "合唱団",
    "演劇部",
    "料理教室",
    "夏祭り委員会",
    "文化祭委員会",
    "将棋クラブ",
    "テニスクラブ",
    "読書会",
    "総務課",
];

/// Japanese things and the acts that go with them.
pub(super) const JAPANESE_WORK: &[(&str, &[&str])] = &[
    ("会場", &["予約", "下見", "掃除"]),
    ("会議室", &["予約", "掃除", "確保"]),
    ("駐車場", &["確保", "掃除", "下見"]),
    ("椅子", &["注文", "手配", "返却"]),
    ("机", &["手配", "移動", "返却"]),
    ("資料", &["作成", "印刷", "配布"]),
    ("チラシ", &["作成", "印刷", "配布"]),
    ("ポスター", &["作成", "印刷", "手配"]),
    ("名札", &["作成", "印刷", "注文"]),
    ("看板", &["作成", "修理", "設置"]),
    ("横断幕", &["作成", "注文", "設置"]),
    ("名簿", &["更新", "確認", "印刷"]),
    ("予算案", &["作成", "確認", "印刷"]),
    ("見積書", &["依頼", "確認", "整理"]),
    ("請求書", &["送付", "確認", "整理"]),
    ("領収書", &["送付", "確認", "整理"]),
    ("案内状", &["作成", "印刷", "送付"]),
    ("招待状", &["作成", "印刷", "送付"]),
    ("契約書", &["作成", "確認", "送付"]),
    ("報告書", &["作成", "提出", "確認"]),
    ("申請書", &["作成", "提出", "確認"]),
    ("写真", &["撮影", "整理", "印刷"]),
    ("動画", &["撮影", "編集", "確認"]),
    ("会報", &["編集", "印刷", "送付"]),
    ("予定表", &["作成", "更新", "配布"]),
    ("地図", &["作成", "印刷", "配布"]),
    ("台本", &["作成", "印刷", "配布"]),
    ("衣装", &["手配", "整理", "返却"]),
    ("弁当", &["注文", "手配", "配布"]),
    ("茶菓子", &["購入", "注文", "手配"]),
    ("花束", &["購入", "注文", "手配"]),
    ("記念品", &["購入", "注文", "手配"]),
    ("景品", &["購入", "注文", "整理"]),
    ("文房具", &["購入", "注文", "整理"]),
    ("マイク", &["手配", "点検", "修理"]),
    ("カメラ", &["手配", "点検", "修理"]),
    ("スピーカー", &["手配", "点検", "設置"]),
    ("プロジェクター", &["手配", "点検", "返却"]),
    ("テント", &["手配", "点検", "設置"]),
    ("バス", &["予約", "手配", "確保"]),
    ("ホテル", &["予約", "下見", "確保"]),
    ("レンタカー", &["予約", "手配", "返却"]),
    ("照明", &["点検", "修理", "設置"]),
    ("倉庫", &["点検", "掃除", "整理"]),
    ("消火器", &["点検", "購入", "設置"]),
    ("救急箱", &["点検", "購入", "整理"]),
    ("講師", &["手配", "確保", "依頼"]),
    ("アンケート", &["作成", "集計", "印刷"]),
    ("ホームページ", &["更新", "確認", "編集"]),
    ("掲示板", &["更新", "修理", "設置"]),
];

/// What Japanese minutes also say, with nobody in charge of anything.
pub(super) const JAPANESE_REMARKS: &[&str] = &[
    "前回の議事録を承認した。",
    "会費は変更しないことにした。",
    "前回は部屋が寒いという声があった。",
    "当日の天気が心配である。",
    "新しいロゴは好評だった。",
    "開始時刻は九時に決まった。",
    "料金について長く話し合った。",
    "音量には注意することにした。",
    "今年は予算に余裕がある。",
    "昨年の行事は大成功だった。",
    "名称の案はまとまらなかった。",
    "ごみの分別が話題になった。",
];

/// What a Japanese report is about.
pub(super) const JAPANESE_TOPICS: &[&str] =
    &["会計の状況", "前回の行事", "新しい規則", "秋の計画", "工事の進み具合", "研修旅行", "来場者の数"];
