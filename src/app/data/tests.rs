//! What the keys of the pane do, and what becomes of what the store and a companion tell.

mod beyond;
mod deciding;
mod editing;
mod list;

use super::super::hand::Given;
use crate::keymap::Command as C;

/// The test that gives each command.
pub(in crate::app) const GIVEN: Given = &[
    (C::Accept, deciding::a_hundred_records_take_a_hundred_keys),
    (C::Reject, deciding::rejecting_asks_why_and_offers_the_reason_again),
    (C::Skip, deciding::what_is_skipped_stays_as_it_is_and_the_next_that_waits_comes),
    (C::Edit, editing::an_edit_is_saved_at_a_pause_and_when_it_is_left),
    (C::EditOutside, editing::what_is_no_text_of_its_own_is_edited_outside),
    (C::Category, deciding::a_record_is_marked_and_the_cursor_stays),
    (C::Split, deciding::a_record_is_marked_and_the_cursor_stays),
    (C::Assign, deciding::a_record_is_marked_and_the_cursor_stays),
    (C::NextFlagged, list::the_next_with_a_finding_is_found_and_all_are_looked_at_on_demand),
    (C::NextMine, list::the_next_that_is_mine_is_found_by_the_store),
    (C::Neighbours, list::records_worded_alike_are_shown_and_gone_to),
    (C::History, list::every_state_of_a_record_is_shown),
    (C::Restore, deciding::a_record_is_marked_and_the_cursor_stays),
    (C::Filter, list::a_filter_searches_while_one_types_and_leaving_puts_the_old_one_back),
    (C::FilterClear, deciding::everything_listed_is_selected_and_let_go_of),
    (C::Select, deciding::a_selection_is_previewed_and_done_as_one),
    (C::SelectAll, deciding::everything_listed_is_selected_and_let_go_of),
    (C::Lint, list::the_next_with_a_finding_is_found_and_all_are_looked_at_on_demand),
    (C::Drafts, deciding::a_model_drafts_what_is_selected),
    (C::ListDown, list::the_cursor_goes_by_records_and_by_pages),
    (C::ListUp, list::the_cursor_goes_by_records_and_by_pages),
    (C::ListPageDown, list::the_cursor_goes_by_records_and_by_pages),
    (C::ListPageUp, list::the_cursor_goes_by_records_and_by_pages),
    (C::ListTop, list::the_cursor_goes_by_records_and_by_pages),
    (C::ListBottom, list::the_cursor_goes_by_records_and_by_pages),
    (C::PartNext, editing::the_parts_of_a_record_are_edited_one_after_the_other),
    (C::PartBefore, editing::the_parts_of_a_record_are_edited_one_after_the_other),
    (C::ScrollDown, editing::a_long_record_is_scrolled_also_while_one_writes),
    (C::ScrollUp, editing::a_long_record_is_scrolled_also_while_one_writes),
    (C::EditorDone, editing::the_parts_of_a_record_are_edited_one_after_the_other),
    (C::EditorSave, editing::what_was_written_by_mistake_goes_with_one_key),
    (C::EditorAccept, editing::accepting_from_the_editor_is_one_stroke),
    (C::EditorRevert, editing::what_was_written_by_mistake_goes_with_one_key),
    (C::EditorPartNext, editing::the_parts_of_a_record_are_edited_one_after_the_other),
    (C::EditorPartBefore, editing::the_parts_of_a_record_are_edited_one_after_the_other),
    (C::EditorScrollDown, editing::a_long_record_is_scrolled_also_while_one_writes),
    (C::EditorScrollUp, editing::a_long_record_is_scrolled_also_while_one_writes),
    (C::ConfirmYes, deciding::a_selection_is_previewed_and_done_as_one),
    (C::ConfirmNo, deciding::a_selection_is_previewed_and_done_as_one),
    (C::ConflictMine, editing::a_conflict_shows_both_texts_and_nothing_is_lost),
    (C::ConflictTheirs, editing::a_conflict_shows_both_texts_and_nothing_is_lost),
    (C::ConflictEdit, editing::theirs_is_edited_with_mine_in_the_editor_wherever_one_has_gone),
    (C::ConflictLeave, editing::a_conflict_is_decided_later_and_takes_nothing_that_is_being_written),
    (C::AskDone, deciding::a_record_is_marked_and_the_cursor_stays),
    (C::AskLeave, list::a_filter_searches_while_one_types_and_leaving_puts_the_old_one_back),
    (C::AskDown, deciding::a_record_is_marked_and_the_cursor_stays),
    (C::AskUp, deciding::a_record_is_marked_and_the_cursor_stays),
    (C::PickDone, deciding::a_record_is_marked_and_the_cursor_stays),
    (C::PickLeave, deciding::a_record_is_marked_and_the_cursor_stays),
    (C::PickDown, deciding::a_record_is_marked_and_the_cursor_stays),
    (C::PickUp, deciding::a_record_is_marked_and_the_cursor_stays),
    (C::PickPageDown, list::every_state_of_a_record_is_shown),
    (C::PickPageUp, list::every_state_of_a_record_is_shown),
];
