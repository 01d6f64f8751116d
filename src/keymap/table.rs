//! The table of commands.

/// Where a command can be given. What is open on the screen makes a list of scopes, and a key is looked for in them in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everywhere, in the middle of a text too.
    Anywhere,
    /// In every pane, while no text is being written.
    Normal,
    /// In the pane of the records.
    Data,
    /// In the pane of the prompt.
    Prompt,
    /// In the pane of the runs.
    Train,
    /// In the form of a new run.
    NewRun,
    /// In the pane that compares.
    Compare,
    /// While choosing blind between two answers.
    Blind,
    /// While one answer after the other is shown to an audience.
    Presenter,
    /// While a text is being written.
    Editor,
    /// In the pane that evaluates.
    Evaluate,
    /// At one row of a test set.
    EvaluateRow,
    /// While one line is asked for.
    Ask,
    /// While one of several is chosen.
    Pick,
    /// While a yes or no is asked for.
    Confirm,
    /// While two texts of one record are shown.
    Conflict,
}

impl Scope {
    /// The scope in words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Anywhere => "everywhere",
            Self::Normal => "in every pane",
            Self::Data => "Data",
            Self::Prompt => "Prompt",
            Self::Train => "Train",
            Self::NewRun => "Train, a new run",
            Self::Compare => "Compare",
            Self::Blind => "Compare, blind",
            Self::Presenter => "Compare, presenter",
            Self::Evaluate => "Evaluate",
            Self::EvaluateRow => "Evaluate, a row",
            Self::Editor => "writing a text",
            Self::Ask => "asked for a line",
            Self::Pick => "choosing from a list",
            Self::Confirm => "asked yes or no",
            Self::Conflict => "two texts of one record",
        }
    }

    /// Whether it is a pane, or a way of using one, where [`Scope::Normal`] holds too.
    const fn is_pane(self) -> bool {
        matches!(
            self,
            Self::Data
                | Self::Prompt
                | Self::Train
                | Self::NewRun
                | Self::Compare
                | Self::Blind
                | Self::Presenter
                | Self::Evaluate
                | Self::EvaluateRow
        )
    }

    /// A place where commands of both scopes can be given at once.
    pub(super) fn meets(self, other: Self) -> Option<Self> {
        match (self, other) {
            (one, other) if one == other => Some(one),
            (Self::Anywhere, other) | (other, Self::Anywhere) => Some(other),
            (Self::Normal, pane) | (pane, Self::Normal) if pane.is_pane() => Some(pane),
            _ => None,
        }
    }
}

macro_rules! commands {
    ($($variant:ident $name:literal $scope:ident [$($key:literal),*] $doc:literal;)+) => {
        /// Something that can be done in the workbench.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Command { $(#[doc = $doc] $variant,)+ }

        impl Command {
            /// All of them, in the order in which help lists them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in `keymap.toml`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The keys it has unless `keymap.toml` says otherwise.
            #[must_use]
            pub const fn keys(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($key),*],)+ }
            }

            /// What it does.
            #[must_use]
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$variant => $doc,)+ }
            }

            /// Where it can be given.
            #[must_use]
            pub const fn scope(self) -> Scope {
                match self { $(Self::$variant => Scope::$scope,)+ }
            }
        }
    };
}

commands! {
    Accept "data.accept" Data ["a"] "accept the answer as gold and go on";
    Reject "data.reject" Data ["x"] "reject, with a reason, and go on";
    Skip "data.skip" Data ["n"] "leave it and go on to the next that waits";
    Edit "data.edit" Data ["e", "enter"] "edit the answer (or the part chosen with tab) in place";
    EditOutside "data.edit-outside" Data ["E"] "edit the whole record in $EDITOR";
    Category "data.category" Data ["c"] "set the category";
    Split "data.split" Data ["s"] "say what it is used for: train, valid, test";
    Assign "data.assign" Data ["m"] "say who is to work on it";
    NextFlagged "data.next-flagged" Data ["f"] "go to the next with a finding";
    NextMine "data.next-mine" Data ["N"] "go to the next that is mine, or free";
    Neighbours "data.neighbours" Data ["="] "show the records worded most like it";
    History "data.history" Data ["H"] "show every state it had";
    Restore "data.reopen" Data ["i"] "put it back into the inbox";
    Filter "data.filter" Data ["/"] "filter and search while typing";
    FilterClear "data.filter-clear" Data ["esc", "backspace"] "let go of the selection, or of the filter";
    Select "data.select" Data ["space"] "select it, or let it go";
    SelectAll "data.select-all" Data ["*"] "select everything that the filter finds";
    Lint "data.lint" Data ["L"] "look at all records for what is wrong";
    Drafts "data.drafts" Data ["D"] "let a model write drafts for what is selected";
    ListDown "data.down" Data ["j", "down"] "the next record";
    ListUp "data.up" Data ["k", "up"] "the record before";
    ListPageDown "data.page-down" Data ["ctrl-f", "pagedown"] "a page down";
    ListPageUp "data.page-up" Data ["ctrl-b", "pageup"] "a page up";
    ListTop "data.top" Data ["g g", "home"] "the first record";
    ListBottom "data.bottom" Data ["G", "end"] "the last record";
    PartNext "data.part-next" Data ["tab", "l", "right"] "choose the next part of the record";
    PartBefore "data.part-before" Data ["shift-tab", "h", "left"] "choose the part before";
    ScrollDown "data.scroll-down" Data ["J", "ctrl-d"] "scroll the record down";
    ScrollUp "data.scroll-up" Data ["K", "ctrl-u"] "scroll the record up";

    PromptEdit "prompt.edit" Prompt ["e", "enter"] "write in the template";
    PromptSave "prompt.save" Prompt ["ctrl-s"] "save it as a version; another text becomes a new one";
    PromptName "prompt.save-as" Prompt ["S"] "save it as a version of another name";
    PromptUse "prompt.use" Prompt ["U"] "let the project use this version";
    PromptVersion "prompt.version" Prompt ["v"] "show another version";
    PromptDiff "prompt.diff" Prompt ["d"] "compare with the version in use";
    PromptRevert "prompt.revert" Prompt ["R"] "back to the version's own text";
    PromptNext "prompt.next" Prompt ["j", "down"] "look at the next record";
    PromptBefore "prompt.before" Prompt ["k", "up"] "look at the record before";
    PromptVariable "prompt.variable" Prompt ["i"] "put in a field of the record";
    PromptExample "prompt.example" Prompt ["x"] "show this record as an example before every question, or no longer";
    PromptPin "prompt.pin" Prompt ["p"] "pin this record for trying, or let it go";
    PromptTry "prompt.try" Prompt ["t"] "ask the models: base and tuned, on the pinned records";
    PromptBeside "prompt.beside" Prompt ["+"] "try another version beside it";
    PromptRepeat "prompt.repeat" Prompt ["r"] "ask each once, twice or three times";
    PromptStop "prompt.stop" Prompt ["esc"] "stop asking; back to the tokens";
    PromptScrollDown "prompt.scroll-down" Prompt ["J", "ctrl-d"] "scroll down";
    PromptScrollUp "prompt.scroll-up" Prompt ["K", "ctrl-u"] "scroll up";

    CompareRun "compare.ask" Compare ["enter"] "ask both";
    CompareNext "compare.next" Compare ["j", "down", "n"] "the next question";
    CompareBefore "compare.before" Compare ["k", "up"] "the question before";
    CompareType "compare.type" Compare ["e"] "ask a question of your own";
    CompareLeft "compare.left" Compare ["a"] "choose who answers left: the base, a run, a checkpoint";
    CompareRight "compare.right" Compare ["b"] "choose who answers right";
    CompareSwap "compare.swap" Compare ["s"] "change sides";
    CompareSeed "compare.seed" Compare ["r"] "ask again with another seed";
    CompareGreedy "compare.greedy" Compare ["G"] "back to the likeliest answer";
    CompareBlind "compare.blind" Compare ["B"] "judge blind: sides at random, without names";
    ComparePresent "compare.present" Compare ["P"] "present to an audience";
    CompareStop "compare.stop" Compare ["esc"] "stop what is being written";
    CompareScrollDown "compare.scroll-down" Compare ["J", "ctrl-d"] "scroll question and answers down";
    CompareScrollUp "compare.scroll-up" Compare ["K", "ctrl-u"] "scroll question and answers up";

    BlindLeft "blind.left" Blind ["a", "h", "left"] "A is better";
    BlindRight "blind.right" Blind ["b", "l", "right"] "B is better";
    BlindTie "blind.tie" Blind ["t", "="] "both are as good";
    BlindBad "blind.bad" Blind ["x"] "neither will do";
    BlindSkip "blind.skip" Blind ["n", "j", "down"] "the next question, without a pick";
    BlindBefore "blind.before" Blind ["k", "up"] "the question before";
    BlindScrollDown "blind.scroll-down" Blind ["J", "ctrl-d"] "scroll question and answers down";
    BlindScrollUp "blind.scroll-up" Blind ["K", "ctrl-u"] "scroll question and answers up";
    BlindLeave "blind.leave" Blind ["esc", "B"] "end judging and see the result";

    PresentNext "present.next" Presenter ["space", "j", "right", "down"] "play the rehearsed answers of the first, then the next question";
    PresentBefore "present.before" Presenter ["k", "left", "up"] "the question before";
    PresentAgain "present.live" Presenter ["enter"] "ask the models, and keep the answers for playing back";
    PresentLeave "present.leave" Presenter ["esc", "P"] "end presenting";
    TrainNew "train.new" Train ["n"] "set up a new run";
    TrainPause "train.pause" Train ["p"] "let the run wait after the step it is at";
    TrainResume "train.resume" Train ["r"] "let a paused run go on, or a stopped one from its checkpoint";
    TrainStop "train.stop" Train ["s"] "let the run write a checkpoint and end";
    TrainCheckpoint "train.checkpoint" Train ["c"] "let the run write a checkpoint and go on";
    TrainOverlay "train.overlay" Train ["space"] "keep the run's curve on the chart, or take it off";
    TrainSeries "train.series" Train ["tab"] "draw the next: loss, learning rate, gradient norm";
    TrainSeriesBefore "train.series-before" Train ["shift-tab"] "draw the one before";
    TrainLog "train.log" Train ["L"] "a logarithmic scale, or a plain one";
    TrainSmooth "train.smooth" Train ["m"] "a smoothed line over the raw dots, or the raw line";
    TrainZoomIn "train.zoom-in" Train ["+", "="] "half as many steps, around the crosshair";
    TrainZoomOut "train.zoom-out" Train ["-"] "twice as many steps";
    TrainPanLeft "train.pan-left" Train ["<", "shift-left"] "earlier steps";
    TrainPanRight "train.pan-right" Train [">", "shift-right"] "later steps";
    TrainCrossLeft "train.cross-left" Train ["h", "left"] "the crosshair to the left";
    TrainCrossRight "train.cross-right" Train ["l", "right"] "the crosshair to the right";
    TrainBack "train.back" Train ["esc", "0"] "back: no crosshair, all steps, the chart";
    TrainCompare "train.compare" Train ["d"] "in what this run's settings differ from another's";
    TrainNote "train.note" Train ["N"] "a note about the run";
    TrainSvg "train.svg" Train ["w"] "write the chart as an SVG file";
    TrainDown "train.down" Train ["j", "down"] "the next run";
    TrainUp "train.up" Train ["k", "up"] "the run before";
    TrainTop "train.top" Train ["g g", "home"] "the newest run";
    TrainBottom "train.bottom" Train ["G", "end"] "the oldest run";
    TrainScrollDown "train.scroll-down" Train ["J", "ctrl-d", "pagedown"] "scroll the sample answers down";
    TrainScrollUp "train.scroll-up" Train ["K", "ctrl-u", "pageup"] "scroll the sample answers up";

    NewStart "new-run.start" NewRun ["s"] "check it; once it is checked, start it";
    NewEdit "new-run.edit" NewRun ["enter", "e", "l", "right"] "change the setting, or choose the model";
    NewUsual "new-run.usual" NewRun ["x", "backspace"] "the setting as the project has it";
    NewDown "new-run.down" NewRun ["j", "down"] "the next setting";
    NewUp "new-run.up" NewRun ["k", "up"] "the setting before";
    NewPageDown "new-run.page-down" NewRun ["ctrl-f", "pagedown", "J"] "a page down";
    NewPageUp "new-run.page-up" NewRun ["ctrl-b", "pageup", "K"] "a page up";
    NewLeave "new-run.leave" NewRun ["esc", "h", "left"] "back to the runs; what was set stays";

    EvaluateOpen "evaluate.open" Evaluate ["enter"] "open the row: gold, every answer, its errors";
    EvaluateStart "evaluate.start" Evaluate ["e"] "measure systems on a test set in the background";
    EvaluateStop "evaluate.stop" Evaluate ["s"] "stop measuring; what is answered stays";
    EvaluatePause "evaluate.pause" Evaluate ["space"] "let the measuring wait, or go on";
    EvaluateTest "evaluate.test" Evaluate ["t"] "choose the test set";
    EvaluateSystems "evaluate.systems" Evaluate ["w"] "choose who is compared";
    EvaluatePair "evaluate.pair" Evaluate ["p"] "choose the two systems whose rows are listed";
    EvaluateList "evaluate.list" Evaluate ["tab", "l", "right"] "list the next: got worse, stayed wrong, got better";
    EvaluateListBefore "evaluate.list-before" Evaluate ["shift-tab", "h", "left"] "list the ones before";
    EvaluateTable "evaluate.table" Evaluate ["v"] "figures, or errors before and after";
    EvaluateAgain "evaluate.again" Evaluate ["r"] "make the report anew";
    EvaluateDown "evaluate.down" Evaluate ["j", "down"] "the next row";
    EvaluateUp "evaluate.up" Evaluate ["k", "up"] "the row before";
    EvaluatePageDown "evaluate.page-down" Evaluate ["ctrl-f", "pagedown"] "a page down";
    EvaluatePageUp "evaluate.page-up" Evaluate ["ctrl-b", "pageup"] "a page up";
    EvaluateTop "evaluate.top" Evaluate ["g g", "home"] "the first row";
    EvaluateBottom "evaluate.bottom" Evaluate ["G", "end"] "the last row";
    EvaluateScrollDown "evaluate.scroll-down" Evaluate ["J", "ctrl-d"] "scroll the figures down";
    EvaluateScrollUp "evaluate.scroll-up" Evaluate ["K", "ctrl-u"] "scroll the figures up";

    RowMark "row.mark" EvaluateRow ["m", "enter"] "say that the answer has an error, or has it not";
    RowNext "row.next" EvaluateRow ["n", "j", "down"] "the next row";
    RowBefore "row.before" EvaluateRow ["k", "up"] "the row before";
    RowAnswer "row.answer" EvaluateRow ["tab", "l", "right"] "choose the next answer";
    RowAnswerBefore "row.answer-before" EvaluateRow ["shift-tab", "h", "left"] "choose the answer before";
    RowScrollDown "row.scroll-down" EvaluateRow ["J", "ctrl-d", "pagedown"] "scroll down";
    RowScrollUp "row.scroll-up" EvaluateRow ["K", "ctrl-u", "pageup"] "scroll up";
    RowLeave "row.leave" EvaluateRow ["esc", "backspace"] "back to the report";

    PaneData "pane.data" Normal ["1"] "the pane of the records";
    PanePrompt "pane.prompt" Normal ["2"] "the pane of the prompt";
    PaneTrain "pane.train" Normal ["3"] "the pane of the runs";
    PaneCompare "pane.compare" Normal ["4"] "the pane that compares";
    PaneEvaluate "pane.evaluate" Normal ["5"] "the pane that evaluates";
    PaneNext "pane.next" Normal ["]"] "the next pane";
    PaneBefore "pane.before" Normal ["["] "the pane before";
    Undo "app.undo" Normal ["u"] "take back what was done last";
    Redo "app.redo" Normal ["ctrl-r"] "do again what was taken back";
    Copy "app.copy" Normal ["y"] "copy what is shown to the clipboard";
    Help "app.help" Normal ["?", ":"] "search all commands and give one";
    Theme "app.theme" Normal ["ctrl-t"] "another theme";
    Quit "app.quit" Normal ["q"] "leave togi; what runs goes on";

    HelpAnywhere "app.help-anywhere" Anywhere ["f1"] "help, in the middle of a text too";
    Repaint "app.repaint" Anywhere ["ctrl-l"] "draw everything anew";
    Leave "app.leave" Anywhere ["ctrl-c"] "save what is being written and leave togi";

    EditorDone "text.done" Editor ["esc", "alt-enter"] "keep the text and go back";
    EditorSave "text.save" Editor ["ctrl-s"] "save now and go on writing";
    EditorAccept "text.accept" Editor ["ctrl-g"] "save, accept and open the next";
    EditorRevert "text.revert" Editor ["alt-r"] "back to the text as it was opened";
    EditorPartNext "text.part-next" Editor ["tab"] "save and edit the next part";
    EditorPartBefore "text.part-before" Editor ["shift-tab"] "save and edit the part before";

    EditorScrollDown "text.scroll-down" Editor ["pagedown", "alt-down"] "scroll the rest of the record down";
    EditorScrollUp "text.scroll-up" Editor ["pageup", "alt-up"] "scroll the rest of the record up";

    AskDone "ask.done" Ask ["enter"] "take the line";
    AskLeave "ask.leave" Ask ["esc", "ctrl-g"] "leave it as it was";
    AskDown "ask.down" Ask ["down", "ctrl-n"] "the next suggestion";
    AskUp "ask.up" Ask ["up", "ctrl-p"] "the suggestion before";

    PickDone "pick.done" Pick ["enter"] "take what is marked";
    PickLeave "pick.leave" Pick ["esc", "ctrl-g"] "leave it as it was";
    PickDown "pick.down" Pick ["down", "ctrl-n"] "one down";
    PickUp "pick.up" Pick ["up", "ctrl-p"] "one up";
    PickPageDown "pick.page-down" Pick ["pagedown", "ctrl-v"] "a page down";
    PickPageUp "pick.page-up" Pick ["pageup", "alt-v"] "a page up";

    ConfirmYes "confirm.yes" Confirm ["enter", "y"] "do it";
    ConfirmNo "confirm.no" Confirm ["esc", "n"] "leave it";

    ConflictMine "conflict.mine" Conflict ["m", "1"] "keep my text";
    ConflictTheirs "conflict.theirs" Conflict ["t", "2"] "keep theirs; mine stays in the history of conflicts";
    ConflictEdit "conflict.edit" Conflict ["e"] "edit theirs with mine beside it";
    ConflictLeave "conflict.leave" Conflict ["esc", "l"] "decide later";
}
