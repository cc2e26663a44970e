"""Sessions in the page: their end, their renewal, and what administrators do to others'."""

import pytest
from playwright.async_api import FilePayload, Route, expect
from tests import media
from tests.page.browsing import SECRET, account, call
from tests.page.conftest import Visit
from tests.source import Source

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_session_that_ends_leads_to_the_sign_in_page_and_back_with_all_that_was_typed(
    visit: Visit,
) -> None:
    visitor = await visit("sleeper")
    page = visitor.page
    await visitor.open()
    await page.get_by_label("Links to download").fill("https://source.example/half-typed")
    await page.get_by_role("link", name="History", exact=True).click()
    await page.get_by_label("Status").select_option("failed")
    await expect(page.get_by_text("Nothing matches")).to_be_visible()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    call(visitor.address, visitor.token, "POST", "/auth/logout")  # somewhere else
    await expect(page.get_by_text("Your session has ended")).to_be_visible()
    await visitor.fill_sign_in("sleeper", "not the right one")
    await expect(page.get_by_role("alert")).to_contain_text("The username or the password is wrong.")
    await visitor.fill_sign_in("sleeper")
    await expect(page.get_by_role("heading", name="History")).to_be_visible()
    assert page.url.endswith("/ui/history?status=failed")
    await page.get_by_role("link", name="Download", exact=True).click()
    await expect(page.get_by_label("Links to download")).to_have_value("https://source.example/half-typed")


async def test_a_session_about_to_end_is_told_and_prolonged_with_the_password(visit: Visit) -> None:
    visitor = await visit("stayer", seconds=100)
    await visitor.open()
    warning = visitor.page.get_by_role("region", name="Stay signed in")
    await expect(warning.get_by_role("alert")).to_contain_text("Your session is about to end.")
    await warning.get_by_label("Password", exact=True).fill("not the right one")
    await warning.get_by_role("button", name="Stay signed in").click()
    await expect(warning).to_contain_text("The username or the password is wrong.")
    await warning.get_by_label("Password", exact=True).fill(SECRET)
    await warning.get_by_role("button", name="Stay signed in").click()
    await expect(visitor.page.get_by_text("You stay signed in.")).to_be_visible()
    await expect(warning).to_have_count(0)


async def test_signing_out_everywhere_ends_the_other_browsers_session_too(visit: Visit) -> None:
    here, there = await visit("homebody"), await visit("homebody")
    await there.open("history")
    await expect(there.page.get_by_text("Live", exact=True)).to_be_visible()
    await here.open("account")
    form = here.page.get_by_label("Your password")
    await form.fill("not the right one")
    await form.press("Enter")
    await expect(here.page.get_by_text("The current password is wrong.")).to_be_visible()
    await form.fill(SECRET)
    await form.press("Enter")
    await expect(here.page.get_by_text("You have signed out.")).to_be_visible()
    await expect(there.page.get_by_text("Your session has ended")).to_be_visible()


async def test_cookies_and_the_password_are_changed_and_this_session_stays(visit: Visit) -> None:
    visitor = await visit("changer")
    await visitor.open("account")
    await visitor.page.get_by_label("Site", exact=True).fill("https://www.music.example/song")
    async with visitor.page.expect_file_chooser() as choosing:
        await visitor.button("Choose the cookies.txt").click()
    cookies = b".music.example\tTRUE\t/\tTRUE\t0\tsid\tvalue\n"
    file: FilePayload = {"name": "cookies.txt", "mimeType": "text/plain", "buffer": cookies}
    await (await choosing.value).set_files(file)
    await expect(visitor.page.get_by_text("1 cookie for music.example kept.")).to_be_visible()
    await visitor.button("Remove the cookies for music.example").click()
    await expect(visitor.button("Remove the cookies for music.example")).to_have_count(0)
    await visitor.page.get_by_label("Current password").fill(SECRET)
    await visitor.page.get_by_label("New password").fill("another horse entirely")
    await visitor.button("Change password").click()
    await expect(visitor.page.get_by_text("Your password is changed")).to_be_visible()
    await visitor.page.get_by_role("link", name="History", exact=True).click()
    await expect(visitor.page.get_by_text("Nothing here yet")).to_be_visible()
    account(visitor.address, "changer", secret="another horse entirely")


async def test_administrators_see_everything_share_their_role_and_keep_somebody_out(
    visit: Visit, sources: Source
) -> None:
    member, admin = await visit("member"), await visit("admin")
    song = sources.file("/members.mp3", media.make("mp3", title="The Member's", artist="Some"))
    pages = sources.album_page(
        "/members.html", [song, sources.status("/no.mp3", 404)], title="A Member's List"
    )
    call(member.address, member.token, "POST", "/api/download", url=pages)
    await member.open("admin")
    await expect(member.page.get_by_text("Only administrators may look at this.")).to_be_visible()
    await expect(member.page.get_by_role("link", name="Administration")).to_have_count(0)

    page = admin.page
    await admin.open("admin")
    await expect(page.get_by_text("Everything works")).to_be_visible()
    await expect(page.get_by_role("img", name="on a scale from 1 GB to 10 TB")).to_be_visible()
    await page.get_by_role("link", name="Users").click()
    role = page.get_by_role("switch", name="member is an administrator")
    await role.press(" ")
    await expect(role).to_be_checked()
    await role.press(" ")
    await expect(role).not_to_be_checked()
    await page.get_by_role("switch", name="admin is an administrator").press(" ")
    await page.get_by_role("dialog").get_by_role("button", name="Give it up").click()
    await expect(page.get_by_role("alert")).to_contain_text("last active administrator")
    await expect(page.get_by_role("switch", name="admin is an administrator")).to_be_checked()
    switch = page.get_by_role("switch", name="member is active")
    await switch.click(force=True)
    await page.get_by_role("dialog").get_by_role("button", name="Deactivate").click()
    await expect(switch).not_to_be_checked()
    await expect(member.page.get_by_text("Your session has ended")).to_be_visible()
    await member.fill_sign_in("member")
    await expect(member.page.get_by_role("alert")).to_contain_text("This account has been deactivated")
    await member.fill_sign_in("admin")  # somebody else, at the same machine
    await expect(member.page.get_by_text("Everything works")).to_be_visible()
    await expect(member.button("Signed in as admin")).to_be_visible()

    await page.get_by_role("link", name="Audit log").click()
    await page.get_by_label("Action").select_option("user.deactivate")
    await expect(page.get_by_role("row").filter(has_text="Account deactivated")).to_have_count(1)
    await page.reload()  # the address remembers what was chosen
    await expect(page.get_by_label("Action")).to_have_value("user.deactivate")
    await expect(page.get_by_role("row").filter(has_text="Account deactivated")).to_have_count(1)
    await page.get_by_role("link", name="All downloads").click()
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    await page.get_by_label("User").select_option(label="member")
    await admin.button("Show the tracks of A Member's List").click()
    await expect(admin.row("The Member's")).to_have_attribute("aria-setsize", "2")
    await page.get_by_label("Status").select_option("cancelled")
    await expect(page.get_by_text("Nobody has such a download.")).to_be_visible()
    assert refused == []  # nobody's covers are asked for, which only their owners get


async def test_where_nobody_may_register_the_page_does_not_offer_it(visit: Visit) -> None:
    visitor = await visit()
    await visitor.open("sign-in")
    link = visitor.page.get_by_role("link", name="Create an account")
    await expect(link).to_be_visible()

    async def closed(route: Route) -> None:
        answer = await route.fetch()
        text = (await answer.text()).replace(
            'name="registration" content="open"', 'name="registration" content="closed"'
        )
        await route.fulfill(response=answer, body=text)

    for path in ("sign-in", "register"):  # somebody may have kept that address
        await visitor.page.route(f"**/ui/{path}", closed)
        await visitor.open(path)
        await expect(visitor.page.get_by_role("button", name="Sign in")).to_be_visible()
        await expect(link).to_have_count(0)
