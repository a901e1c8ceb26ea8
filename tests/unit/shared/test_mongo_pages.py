"""Keys for `$in`, in pages."""

from shared.mongo import IN_PAGE, in_pages


def test_every_key_is_in_one_page_and_no_page_is_longer_than_it_may_be() -> None:
    keys = [str(number) for number in range(2 * IN_PAGE + 1)]
    pages = list(in_pages(keys))
    assert sorted(key for page in pages for key in page) == sorted(keys)
    assert [len(page) for page in pages] == [IN_PAGE, IN_PAGE, 1]
    assert list(in_pages([])) == []
